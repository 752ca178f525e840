package remote

import "io"

// data is a writer of data frames.
type data struct {
	f    *frames
	pack func([]byte) []byte // nil: as it is
}

// Write implements io.Writer.
func (d *data) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		part := p[:min(len(p), maxData)]
		p = p[len(part):]
		kind := frameData
		if d.pack != nil {
			if z := d.pack(part); z != nil {
				kind, part = framePacked, z
			}
		}
		if err := d.f.send(kind, part); err != nil {
			return 0, err
		}
	}
	return n, nil
}

var _ io.Writer = (*data)(nil)
