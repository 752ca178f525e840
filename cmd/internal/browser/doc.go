// Package browser holds the report page against a real browser: Debian's
// chromium, headless, driven over its debugging pipe. It looks for console
// errors, requests of any kind, tables that do not sort or filter, text without
// contrast in light and dark, and writes screenshots to look at.
//
// The suite has the build tag "browser" and skips where there is no chromium.
package browser
