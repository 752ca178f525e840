package main

import (
	"context"
	"path"
	"strings"

	"mailsync/scan/maildir"
)

// folderDir tells where a folder lies that a mailbox of the store does not have
// yet; nil where only the store's record is there.
func (s *side) folderDir() func(mailbox, folder string) (string, error) {
	if s.far != nil {
		names := maildir.FolderNames{UTF8: s.far.Folders().UTF8}
		if s.far.Folders().FS {
			names.Layout = maildir.FS
		}
		return func(_, folder string) (string, error) { return names.Dir(folder) }
	}
	site := s.site()
	if site == nil {
		return nil
	}
	return func(mailbox, folder string) (string, error) {
		p, err := site.Place(mailbox)
		if err != nil {
			return "", err
		}
		return p.Folders().Dir(folder)
	}
}

// placed tells where a mailbox of the store lies, or would lie: an absolute path
// on its host, "" where nothing says so; nil where nothing is known of places.
// Of a store on another host it is what the configuration here says.
func (s *side) placed(ctx context.Context) func(mailbox string) string {
	switch {
	case s.scanner != nil:
		return func(mailbox string) string {
			p, err := s.scanner.Place(ctx, mailbox)
			if err != nil {
				return ""
			}
			return p.Root
		}
	case s.far != nil && s.store.Layout != "":
		layout, err := maildir.ParseTemplate(s.store.Layout)
		if err != nil {
			return nil // its host has refused it
		}
		return func(mailbox string) string {
			at, err := layout.Expand(mailbox, "")
			if err != nil {
				return ""
			}
			return path.Join(s.store.Dir(), at)
		}
	case s.far != nil:
		return func(mailbox string) string { return path.Join(s.store.Dir(), mailbox) }
	}
	return nil
}

// mailboxAt names the mailbox whose Maildir is at an absolute path. The places
// are looked up once, when the first is asked for.
func (s *side) mailboxAt(ctx context.Context, place func(mailbox string) string) func(string) string {
	// What another host has found without a layout is named by its way from the
	// store, without a last Maildir.
	found := s.scanner == nil && s.store.Layout == ""
	var paths map[string]string
	return func(at string) string {
		if paths == nil {
			paths = map[string]string{}
			for h, err := range s.source().Mailboxes(ctx) {
				if err != nil {
					break
				}
				if p := place(h.Name); p != "" {
					paths[p] = h.Name
				}
			}
		}
		at = strings.TrimRight(at, "/")
		if found {
			at = strings.TrimSuffix(at, "/Maildir")
		}
		return paths[at]
	}
}
