package drill

import (
	"os"
	"strings"

	"mailsync/cmd/internal/sample"
	"mailsync/manifest"
)

// step is one command of a drill.
type step struct {
	title string
	see   string   // what the operator sees, before
	args  []string // what to type; CRASH stands for the moment of the incident
	yes   bool     // it asks first; without a terminal --yes answers
	exit  int
	has   []string // regular expressions that the output matches
	means string   // what it means
	cause func(*estate) error
	check func(*estate) error // what must be so after it
}

// Scenario is one bad day.
type Scenario struct {
	Name, Title, Story string
	gap                bool                                // mail arrived that only the gateway has
	gone               func(*estate, *sample.Message) bool // what nothing holds any more
	target             string                              // the store that is scored
	setup              func(*estate) error                 // beyond what every estate has
	incident           func(*estate) error
	Outbound           bool // it is about mail that leaves: that is scored, and no store
	steps              []step
}

// Scenarios are all of them, in the order of a course.
func Scenarios() []Scenario {
	return []Scenario{powerLoss(), sickDisk(), volumesLost(), outboundLost(), stuckFailover()}
}

// nightly is the scan that ran before anything happened.
var nightly = step{
	title: "The evening before", see: "Every night a scan records what each store holds. It reads only.",
	args: []string{"scan", "primary", "spare", "backup"}, exit: 0,
	has:   []string{`primary: 6 mailboxes`, `spare: 6 mailboxes`, `backup: 6 mailboxes`},
	means: "From now on damage and loss can be told from change.",
}

func powerLoss() Scenario {
	crash := []string{"--crash-at", "CRASH"}
	return Scenario{
		Name: "power-loss", Title: "The power came back", target: "primary", gap: true,
		Story: `Primary and hot spare hang on the same supply, and both want a file system
check that takes a day. The backup was in another room: whole, but hours old.
Mail that came in meanwhile waits at the gateway, which keeps a copy of it.`,
		incident: func(e *estate) error {
			e.now()
			if err := e.breaks("primary", 1, 2, manifest.NULFilled, manifest.Truncated, manifest.Missing, manifest.Empty); err != nil {
				return err
			}
			return e.breaks("spare", 2, 1, manifest.NULTail, manifest.Truncated)
		},
		steps: []step{
			nightly,
			{
				title: "Is the primary's mail whole?", see: "The power went and came back. Nobody knows yet what is broken.",
				args: append([]string{"verify", "primary"}, crash...), exit: 1,
				has:   []string{`nul_filled`, `truncated`, `empty`, `missing`, `6 messages proven damaged, 2 missing`, `Nothing was changed`},
				means: "Files of NULs, files cut short, files that are gone: what a power cut leaves.\nThe record of last night is the yardstick; it is not overwritten by this.",
			},
			{
				title: "Which of the three has what?", see: "The spare was hit, too. The backup is old.",
				args: []string{"diff", "primary", "spare", "backup"}, exit: 1,
				has:   []string{`differences`, `damaged`, `missing`, `backup`},
				means: "Each difference has a verdict and its reason. Two replicas behind one supply count\nas one witness, so they never outvote the record.",
			},
			{
				title: "Put back what the primary lost", see: "A plan is shown first, and what mail clients will notice of it.",
				args: append([]string{"restore", "primary", "--from", "spare", "--from", "backup"}, crash...), yes: true, exit: 0,
				has:   []string{`Plan: 8 actions`, `8 actions? done`, `mailsync undo `},
				means: "Damaged originals wait in a quarantine; nothing was overwritten or deleted.\nWhat is reported as done survives another power cut right now.",
				check: func(e *estate) error { return e.sound("primary") },
			},
			{
				title: "Can it be taken back?", see: "Every write is journalled.",
				args: []string{"undo", "last"}, yes: true, exit: 0, has: []string{`is taken back`},
				means: "Undo takes back exactly what a run did. The same restore puts it in place again:",
			},
			{
				title: "Once more", see: "To go on, the same command again.",
				args: append([]string{"restore", "primary", "--from", "spare", "--from", "backup"}, crash...), yes: true, exit: 0,
				has:   []string{`8 actions? done`},
				means: "Running a command again is harmless: it does what is still missing.",
				check: func(e *estate) error { return e.sound("primary") },
			},
			findGap, fillGap, again, report,
		},
	}
}

var findGap = step{
	title: "What did nobody store?", see: "Mail of the last hours reached the gateway and no store.",
	args: []string{"audit", "--from", "gateway"}, exit: 1,
	has:   []string{`Window: from `, `to deliver`, `The account does not close`},
	means: "Hour by hour the archive is held against the mailboxes: the stretch in which mail\nstops being there is the gap. Audit delivers nothing.",
}

var fillGap = step{
	title: "Fill the gap", see: "Straight into the mailboxes: no filter, vacation reply or forward runs.",
	args: []string{"replay", "--from", "gateway"}, yes: true, exit: 0,
	has:   []string{`delivered`, `The account closes: every archived message is accounted for`},
	means: "Archived = present + delivered + deleted + filtered + what is still open, and\nnothing is open.",
}

var again = step{
	title: "And if somebody runs it twice?", see: "It is night, and a colleague types the same.",
	args: []string{"replay", "--from", "gateway"}, yes: true, exit: 0,
	has:   []string{`The account closes`},
	means: "The second replay delivers nothing: what is there is recognised.",
}

var report = step{
	title: "Tell the others", see: "The manager wants a sentence, the customers a list.",
	args: []string{"report", "last", "--html", "report.html"}, exit: 0, has: []string{`The page is in report.html`},
	means: "One file that loads nothing and holds no text of any mail.",
}

func sickDisk() Scenario {
	return Scenario{
		Name: "sick-disk", Title: "One disk of a pair turns slow", target: "refuge",
		Story: `The primary's disk answers slowly, and here and there wrongly. (A drill cannot
make a disk slow; what it breaks are the bytes.) Every read may be the last one:
first the mailboxes that matter most, at a rate that the disk survives.`,
		incident: func(e *estate) error {
			if err := e.breaks("primary", 3, 1, manifest.ContentChanged, manifest.NULTail, manifest.Empty); err != nil {
				return err
			}
			return appendFile(e.path("mailsync.toml"), "\n[stores.refuge]\npath   = \""+e.path("refuge")+"\"\nlayout = \"%d/%n/Maildir\"\nrole   = \"backup\"\n")
		},
		steps: []step{
			nightly,
			{
				title: "Which mailboxes first?", see: "The director and the shop desk ask already.",
				args: []string{"verify", "primary", "--mailbox", "anna@*", "--mailbox", "carla@*", "--readers", "1", "--limit-rate", "20M/s"}, exit: 1,
				has:   []string{`of 2 mailboxes|primary: 2 mailboxes`},
				means: "One reader and a limited rate: a sick disk is not pushed over by the one who looks.",
				cause: func(e *estate) error {
					v := e.vandal("primary", 5)
					_, err := v.BreakMessage(e.subset(e.gap).Boxes[0].Folders[0].Messages[3], manifest.Truncated)
					return err
				},
			},
			{
				title: "Copy them off", see: "There is room on another array. The store there is empty.",
				args: []string{"restore", "refuge", "--from", "primary", "--from", "spare", "--mailbox", "anna@*", "--mailbox", "carla@*", "--readers", "1", "--limit-rate", "20M/s"}, yes: true, exit: 0,
				has:   []string{`done`},
				means: "Whole messages come from the sick disk or from the spare, whichever has the good copy.",
				cause: func(e *estate) error { return os.Mkdir(e.path("refuge"), 0o700) },
			},
			{
				title: "Then the rest", see: "The disk still lives.",
				args: []string{"restore", "refuge", "--from", "primary", "--from", "spare", "--mailbox", "*", "--readers", "1", "--limit-rate", "20M/s"}, yes: true, exit: 0,
				has:   []string{`done`},
				means: "What is in place already is not read again.",
				check: func(e *estate) error { return e.sound("refuge") },
			},
			{
				title: "Record it", see: "The new place is the one that counts from now on.",
				args: []string{"scan", "refuge"}, exit: 0, has: []string{`refuge: 6 mailboxes`},
				means: "A store without a record cannot tell loss from change.",
			},
			{
				title: "Is it what the spare has?", see: "Before the sick disk is pulled.",
				args: []string{"diff", "refuge", "spare"}, exit: 0, has: []string{`hold the same`},
				means: "Every message, flag, keyword, date and UID is the same: now the disk may go.",
			},
		},
	}
}

func volumesLost() Scenario {
	return Scenario{
		Name: "volumes-lost", Title: "Two volumes die", target: "primary", gap: true,
		Story: `Two of the primary's volumes are gone, with the mailboxes on them, and the spare
with its controller. There is the backup, and a queue that grows at the gateway.`,
		gone: func(e *estate, m *sample.Message) bool {
			lost := strings.HasPrefix(m.Address, "bela@") || strings.HasPrefix(m.Address, "elena@")
			return lost && !m.Incoming && !m.Date.Before(e.backup)
		},
		incident: func(e *estate) error {
			e.now()
			return e.loseBox("primary", 1, 4)
		},
		steps: []step{
			nightly,
			{
				title: "What does the store say?", see: "Two mount points are empty.",
				args: []string{"verify", "primary"}, exit: 3,
				means: "A third of a store does not vanish by itself. That is unknown, not lost: the record\nis kept, and nothing is concluded from an empty directory.",
			},
			{
				title: "What has to move?", see: "Not everything: what is on the other volumes is whole.",
				args: []string{"diff", "primary", "backup"}, exit: 3, has: []string{`not known: primary: bela@example.org`, `not known: primary: elena@example.org`, `4 of 6 mailboxes`, `primary lacks 2 whole mailboxes`, `mailsync restore primary --from backup`},
				means: "Two mailboxes cannot be looked at; the other four differ by what came since the backup.",
			},
			{
				title: "Bring the two mailboxes back", see: "New, empty volumes are mounted.",
				args: []string{"restore", "primary", "--from", "backup", "--mailbox", "bela@*", "--mailbox", "elena@*", "--crash-at", "CRASH"}, yes: true, exit: 0,
				has:   []string{`done`},
				means: "With dates, flags, keywords and UIDs as they were at the time of the backup.",
			},
			{
				title: "Deliver what came since", see: "The gateway has kept all of it, with its envelopes.",
				args: []string{"replay", "--from", "gateway", "--since", "all", "--crash-at", "CRASH"}, yes: true, exit: 0,
				has:   []string{`The account closes: every archived message is accounted for`},
				means: "Since the backup is older than the gap, the whole archive is asked for: what is\nthere is recognised, the rest delivered at disk speed.",
			},
			report,
		},
	}
}

func stuckFailover() Scenario {
	return Scenario{
		Name: "stuck-failover", Title: "A failover got stuck", target: "primary", gap: true,
		Story: `The failover stopped half way: for an hour the load balancer sent some customers
to the primary and some to the spare. Both took mail. Customers ask what is lost.`,
		incident: func(e *estate) error { return e.splitBrain() },
		steps: []step{
			nightly,
			{
				title: "What does each side have?", see: "Both sides run, both say that all is well.",
				args: []string{"diff", "primary", "spare"}, exit: 1, has: []string{`missing`},
				means: "Mail that only one side has is listed, with the side that has it.",
			},
			{
				title: "Was anything lost?", see: "The gateway knows every message that was taken in.",
				args: []string{"audit", "--from", "gateway", "--to", "primary", "--since", "all"}, exit: 1, has: []string{`to deliver`},
				means: "The primary lacks what the spare took. It is not lost: it lies on the other side,\nunder the name and with the flags that its reader knows.",
			},
			{
				title: "Bring the primary up to date", see: "From the spare, not from the gateway: read and answered mail stays read and answered.",
				args: []string{"restore", "primary", "--from", "spare"}, yes: true, exit: 0, has: []string{`done`},
				means: "What arrived on the spare after the last scan arrived there; it is put back, not asked about.",
			},
			{
				title: "And the spare", see: "The other way round, so that it can be a spare again.",
				args: []string{"restore", "spare", "--from", "primary"}, yes: true, exit: 0, has: []string{`done`},
				means: "Neither side has lost a thing by the other.",
			},
			{
				title: "Is it proven?", see: "The sentence for the customers.",
				args: []string{"audit", "--from", "gateway", "--to", "primary", "--since", "all", "--html", "account.html"}, exit: 0,
				has:   []string{`The account closes: every archived message is accounted for`},
				means: "account.html can be sent as it is.",
			},
		},
	}
}
