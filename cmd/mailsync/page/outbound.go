package page

import "mailsync/cmd/mailsync/ui"

// Outbound is the sentence of audit --outbound: lost, or only delayed? It is
// told from the counts of the summary.
func Outbound(n func(name string) int64) string {
	all := ui.Plural(n("archived"), "sent message") + ", counted for each recipient"
	told := ""
	if t := n("bounced") + n("expired"); t > 0 {
		told = sentence(" %s could not be reached, and the senders were told.", ui.Plural(t, "recipient"))
	}
	switch {
	case n("archived") == 0:
		return "The archive holds no message with a recipient in this time."
	case n("lost") > 0:
		return sentence("Of %s, %s lost: nothing tells their end. %s delayed.", all, be(n("lost")), cap1(be(n("delayed")))) + told
	case n("delayed") > 0:
		return sentence("No message is lost. Of %s, %s delayed, and in the queue.", all, be(n("delayed"))) + told
	}
	return sentence("No message is lost or delayed. Of %s, %s sent.", all, be(n("sent"))) + told
}

// outbound tells that the run looked at mail that left.
func (r *Report) outbound() bool {
	_, ok := r.summary.Counts["sent"]
	return ok
}

func (r *Report) service(s *service) {
	closed := "closed"
	if !s.Closed {
		closed = "open"
	}
	r.services.add(serviceName(s.Service), s.Archived, s.Sent, s.Delayed, s.Bounced, s.Expired, s.Lost, closed)
}

// sending lists what is open: the accounts count the rest.
func (r *Report) sending(s *sending) {
	var list *table
	switch s.Outcome {
	case "lost":
		list = &r.lost
	case "delayed":
		list = &r.delayed
	default:
		return
	}
	list.add(serviceName(s.Service), s.Sender, s.Recipient, moment(s.Date), s.MessageID, s.Queue, s.Detail)
}

func serviceName(s string) string {
	if s == "" {
		return "(not known)"
	}
	return s
}
