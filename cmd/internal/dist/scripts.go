package main

import (
	"path/filepath"
	"slices"
	"strings"
)

// What the packages do beside their files: systemd hears of the units, and a
// package that goes takes its units out of service. No unit is enabled or
// started for the operator.

// unitsOf are the units of an installation that may be enabled, sorted.
func unitsOf(files []file) []string {
	var units []string
	for _, f := range files {
		if strings.Contains(f.path, "/systemd/system/") && strings.Contains(string(f.data), "\n[Install]\n") {
			units = append(units, filepath.Base(f.path))
		}
	}
	slices.Sort(units)
	return units
}

// running are the units that are stopped when the package goes. Stopping
// mailsync-stop.service would record a shutdown that is none.
func running(units []string) []string {
	return slices.DeleteFunc(slices.Clone(units), func(u string) bool { return u == "mailsync-stop.service" })
}

// debScripts are the maintainer scripts, by the pattern of debhelper's
// dh_installsystemd --no-enable --no-start.
func debScripts(units []string) []file {
	all, stop := strings.Join(units, " "), strings.Join(running(units), " ")
	const reload = `if [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
fi
`
	return []file{
		{"/DEBIAN/postinst", 0o755, []byte(`#!/bin/sh
set -e
if [ "$1" = configure ] && command -v deb-systemd-helper >/dev/null; then
	# So that it is known what to take away on purge.
	deb-systemd-helper update-state ` + all + ` >/dev/null || true
fi
` + reload)},
		{"/DEBIAN/prerm", 0o755, []byte(`#!/bin/sh
set -e
if [ "$1" = remove ] && [ -z "${DPKG_ROOT:-}" ] && [ -d /run/systemd/system ]; then
	deb-systemd-invoke stop ` + stop + ` >/dev/null || true
fi
`)},
		{"/DEBIAN/postrm", 0o755, []byte(`#!/bin/sh
set -e
if [ "$1" = purge ] && command -v deb-systemd-helper >/dev/null; then
	deb-systemd-helper purge ` + all + ` >/dev/null || true
fi
` + reload)},
	}
}

// rpmScripts are the scriptlets of a spec, as systemd's own macros make them.
func rpmScripts(units []string) string {
	return `%post
if [ -d /run/systemd/system ]; then systemctl daemon-reload >/dev/null 2>&1 || :; fi

%preun
if [ "$1" -eq 0 ] && command -v systemctl >/dev/null 2>&1; then
	systemctl --no-reload disable ` + strings.Join(units, " ") + ` >/dev/null 2>&1 || :
	if [ -d /run/systemd/system ]; then systemctl stop ` + strings.Join(running(units), " ") + ` >/dev/null 2>&1 || :; fi
fi

%postun
if [ -d /run/systemd/system ]; then systemctl daemon-reload >/dev/null 2>&1 || :; fi
`
}
