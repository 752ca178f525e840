package message

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"mailsync/manifest"
)

// keep remembers the first field of each name that the tiers use.
func (f *found) keep(name, value []byte) {
	var dst *[]byte
	switch string(name) {
	case "message-id":
		dst = &f.id
	case "date":
		dst = &f.date
	case "from":
		dst = &f.from
	case "to":
		dst = &f.to
	case "subject":
		dst = &f.subject
	default:
		return
	}
	if *dst == nil {
		*dst = value
	}
}

// tiers fills in the digests of docs/identity.md from the canonical fields in
// x.fields, the named fields and the digest of the canonical body.
func (x *Identifier) tiers(id *Identity, f *found, body []byte) {
	v := &x.values
	v[0] = appendMessageID(v[0][:0], f.id)
	v[1] = appendCollapsed(v[1][:0], f.date, maxToken)
	v[2] = appendCollapsed(v[2][:0], f.to, len(f.to))
	v[3] = appendCollapsed(v[3][:0], f.subject, maxSubject)
	msgid, date, to := v[0], v[1], v[2]
	from := []byte(address(f.from))
	bare := []byte(bareSubject(decodeText(string(v[3]))))
	id.MessageID = clip(string(msgid), maxToken)

	slices.SortFunc(x.fields, bytes.Compare)
	id.Exact = x.digest("A", append(x.fields, body)...)
	if len(msgid) > 0 {
		id.Delivery = x.digest("B", msgid, date, from, bare, body)
		id.Body = x.digest("C", msgid, body)
		if len(date) > 0 || len(from) > 0 {
			id.ID = x.digest("D", msgid, date, from)
		}
	}
	if len(date) > 0 && len(from) > 0 {
		id.NoID = x.digest("E", date, from, to, bare, body)
	}
}

// digest is SHA-256 over "mailsync-<tier>-v1", a NUL, and the fields, each
// behind its length in 32 bits, big-endian.
func (x *Identifier) digest(tier string, fields ...[]byte) manifest.Digest {
	x.buf = append(append(append(x.buf[:0], "mailsync-"...), tier...), "-v1\x00"...)
	for _, f := range fields {
		x.buf = binary.BigEndian.AppendUint32(x.buf, uint32(len(f)))
		x.buf = append(x.buf, f...)
	}
	return manifest.Digest{Alg: manifest.SHA256, Sum: sha256.Sum256(x.buf)}
}
