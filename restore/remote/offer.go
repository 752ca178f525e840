package remote

import "fmt"

// Offered is a store of this end that the other end may ask about, for as long
// as it is not closed: what a plan or a run there needs of this host. Nothing
// else of this host is to be had.
type Offered struct {
	p      *Peer
	opened opened
}

// Offer hands a store of this end out to the other one. With Messages alone it is
// a source of bytes. s.Close, where it is set, is called when the offer ends.
func (p *Peer) Offer(s *Served) (*Offered, error) {
	o, err := p.host.add(s)
	if err != nil {
		return nil, err
	}
	return &Offered{p: p, opened: *o}, nil
}

// Close ends the offer.
func (o *Offered) Close() error { return o.p.host.drop(o.opened.Store) }

// store is a store that the other end has offered.
func (p *Peer) store(name string, o *opened) *Store {
	st := &Store{p: p, id: o.Store, info: o.Info.info(), opened: *o}
	st.info.Name = name
	return st
}

// add makes a store known under a number.
func (s *served) add(h *Served) (*opened, error) {
	st := &servedStore{Served: h}
	out := &opened{Messages: h.Messages != nil, Witness: h.Witness != nil, FS: h.Folders.FS, UTF8: h.Folders.UTF8, ReadOnly: h.ReadOnly}
	if h.Source != nil {
		out.Info = infoOf(h.Source.Info())
	}
	if h.Record != nil {
		a := &h.About
		out.Record = &about{
			FSID: a.FSID, FSType: a.FSType, Device: a.Device, RootInode: a.RootInode, Host: a.Host, BootID: a.BootID,
			Alg: uint8(a.Alg), Began: nanos(a.Complete.Began), Ended: nanos(a.Complete.Ended), Open: nanos(a.Open.Began),
			Messages: a.Messages, Mailboxes: a.Mailboxes,
		}
		out.Size = a.Messages
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.stores) >= maxStores {
		return nil, fmt.Errorf("%w: %d stores are open", ErrRefused, maxStores)
	}
	s.next++
	out.Store = s.next
	s.stores[out.Store] = st
	return out, nil
}

// drop forgets a store.
func (s *served) drop(id uint64) error {
	s.mu.Lock()
	st := s.stores[id]
	delete(s.stores, id)
	s.mu.Unlock()
	if st == nil {
		return nil
	}
	return st.close()
}
