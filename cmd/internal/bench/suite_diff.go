package main

func (b *bench) diffRecorded() error {
	store, _, err := b.stores()
	if err != nil {
		return err
	}
	equal, err := b.copyOf(store)
	if err != nil {
		return err
	}
	state := b.path("state-diff")
	if err := b.warm(store, equal); err != nil {
		return err
	}
	if err := b.recorded(state, store, equal); err != nil {
		return err
	}
	jobs := peers([]job{
		{name: "mailsync diff (both recorded, equal)", subject: true, line: b.mailsync("diff", store, equal, "--state", state)},
		{name: "mailsync diff --recorded both", line: b.mailsync("diff", store, equal, "--state", state, "--recorded", store, "--recorded", equal)},
		{name: "rsync -an --delete", line: []string{"rsync -an --delete " + store + "/ " + equal + "/ >/dev/null"}},
	}, map[string]string{"rsync -an --delete": "rsync"})
	_, err = b.measure("diff", jobs, false)
	return err
}

func (b *bench) diffRead() error {
	store, replica, err := b.stores()
	if err != nil {
		return err
	}
	if store, err = b.part(store); err != nil {
		return err
	}
	if replica, err = b.part(replica); err != nil {
		return err
	}
	state := b.path("state-diffread")
	if err := b.warm(store, replica); err != nil {
		return err
	}
	join := func(hash string) []string {
		return []string{"cd " + b.work + `; for d in ` + store + ` ` + replica + `; do (cd $d; find . -type f -print0 | xargs -0 -P2 -n 500 ` + hash + ` | sort) > list.$(basename $d); done; cmp -s list.$(basename ` + store + `) list.$(basename ` + replica + `); true`}
	}
	jobs := peers([]job{
		{name: "mailsync diff (no record)", subject: true, codes: []int{0, 1}, line: b.mailsync("diff", store, replica, "--state", state), before: b.aside(state)},
		{name: "limit: read + BLAKE3 of both, 2 readers", line: b.bare("bare-read", "-t", "2", store, replica)},
		{name: "b3sum of both, sorted and compared", line: join("b3sum --num-threads 1")},
		{name: "rclone check", codes: []int{0, 1}, line: []string{"rclone check " + store + " " + replica + " 2>/dev/null"}, only: 2},
		{name: "diff -rq", codes: []int{0, 1}, line: []string{"diff -rq " + store + " " + replica + " >/dev/null"}},
		{name: "rsync -rnc", line: []string{"rsync -rnc --delete " + store + "/ " + replica + "/ >/dev/null"}},
	}, map[string]string{"b3sum of both, sorted and compared": "b3sum", "rclone check": "rclone", "rsync -rnc": "rsync"})
	_, err = b.measure("diffread", jobs, false)
	return err
}
