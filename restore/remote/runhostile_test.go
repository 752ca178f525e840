package remote_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/hashicorp/yamux"

	"mailsync/manifest"
	"mailsync/restore"
	"mailsync/restore/remote"
)

// word is an item of a run.
func word(t testing.TB, key int, v any) []byte { return item(t, map[int]any{key: v}) }

func binaryOf(t testing.TB, a restore.Action) []byte {
	t.Helper()
	p, err := a.AppendBinary(nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// requestOf is the first frame of a stream.
func requestOf(t testing.TB, method string, body any) []byte {
	t.Helper()
	p, err := remote.Encode(body)
	if err != nil {
		t.Fatal(err)
	}
	q, err := remote.Encode(map[int]any{1: []byte(method), 3: p})
	if err != nil {
		t.Fatal(err)
	}
	return frame(1, q)
}

// planBytes is a plan as it travels.
func planBytes(t testing.TB, list ...restore.Action) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "plan")
	err := restore.SavePlan(file, restore.PlanHeader{Command: "restore", Made: time.Unix(1, 0)}, func(yield func(restore.Action, error) bool) {
		for _, a := range list {
			if !yield(a, nil) {
				return
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// runRequest asks for a run into the store "spare", with bytes from the caller.
func runRequest(t testing.TB) []byte {
	return requestOf(t, "run", map[int]any{
		1: map[int]any{1: map[int]any{1: []byte("spare"), 2: []byte("spare")}, 2: []byte("restore")},
		2: map[int]any{1: 1, 2: map[int]any{1: []byte("x")}, 3: true},
	})
}

// FuzzRun: whatever a caller says in a run, the host answers or hangs up, touches
// nothing outside of the store, ends the run's journal, and lets the next one in.
func FuzzRun(f *testing.F) {
	escape := restore.Action{
		Op: restore.Flags, State: restore.Planned, Ref: manifest.Ref{Mailbox: "a", Folder: "INBOX"},
		Pre: restore.Ground{Sub: manifest.Cur, Name: []byte("../../../outside/secret")}, Post: restore.Ground{Sub: manifest.Cur, Name: []byte("1.a:2,S")},
	}
	end := word(f, 5, map[int]any{})
	f.Add(concat(word(f, 1, [][]byte{binaryOf(f, delivery(1)), binaryOf(f, escape)}), word(f, 2, true), end))
	f.Add(concat(word(f, 3, map[int]any{1: true}), frame(3, planBytes(f, delivery(1), escape)), word(f, 6, true), end))
	f.Add(concat(word(f, 3, map[int]any{}), frame(3, planBytes(f, escape)[:40]), word(f, 6, true)))
	f.Add(concat(word(f, 4, true), word(f, 2, true), end))
	f.Add(concat(word(f, 6, true), frame(3, []byte("data")), frame(4, []byte("packed")), endFrame))
	f.Fuzz(func(t *testing.T, words []byte) {
		m := &machine{t: t, dir: t.TempDir()}
		m.put("spare", "a", 1, ":2,S")
		m.must(os.Mkdir(m.path("outside"), 0o700))
		m.must(os.WriteFile(m.path("outside", "secret"), []byte("secret"), 0o600))
		here, there := sockets(t)
		done := make(chan error, 1)
		go func() {
			done <- remote.Serve(context.Background(), there, remote.Options{Program: "test", Host: m, Spill: spillIn(t)})
		}()
		session := greeted(t, here)
		go func() { // bytes that the host asks for do not come
			for {
				stream, err := session.AcceptStream()
				if err != nil {
					return
				}
				_ = stream.Close()
			}
		}()
		for _, p := range [][]byte{concat(runRequest(t), words), requestOf(t, "runs", map[int]any{})} {
			stream, err := session.OpenStream()
			m.must(err)
			_, _ = stream.Write(p)
			_ = stream.Close() // says that no more comes
			_ = stream.SetReadDeadline(time.Now().Add(20 * time.Second))
			if _, err := io.Copy(io.Discard, stream); errors.Is(err, yamux.ErrTimeout) {
				t.Fatal("neither answered nor hung up")
			}
		}
		_ = session.Close()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if p, err := os.ReadFile(m.path("outside", "secret")); err != nil || string(p) != "secret" {
			t.Fatalf("outside: %q, %v", p, err)
		}
		list, err := restore.Runs(nil, m.state())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range list {
			if x.How == restore.HowRunning || x.How == restore.HowKilled {
				t.Fatalf("a run ended as %q", x.How)
			}
		}
		run, _, err := m.Begin(t.Context(), &remote.RunOptions{Target: remote.Spec{Path: "spare"}, Command: "restore"})
		m.must(err)
		m.must(run.End(nil))
	})
}

// FuzzRunAnswers: whatever a host answers to who plans and writes there, the caller
// comes to an end, with an error or with what it can prove.
func FuzzRunAnswers(f *testing.F) {
	id := []byte("20240101-000000.000-abcdef12")
	info := []byte(`{"run":"20240101-000000.000-abcdef12"}`)
	saved := planBytes(f, delivery(1))
	f.Add(concat(word(f, 1, 5), frame(3, saved), item(f, map[int]any{2: true, 3: true, 4: info}), endFrame))
	f.Add(concat(word(f, 1, id), word(f, 2, [][]byte{binaryOf(f, delivery(1))}), word(f, 3, []any{1, 2, 3}), word(f, 4, map[int]any{}), word(f, 5, true), endFrame))
	f.Add(concat(word(f, 1, id), word(f, 4, map[int]any{1: map[int]any{1: []byte("x"), 2: [][]byte{[]byte("no_space")}}})))
	f.Add(concat(word(f, 1, info), endFrame))
	f.Fuzz(func(t *testing.T, answer []byte) {
		p := liarAfter(t, answer, answer)
		ctx := t.Context()
		if plan, err := p.Plan(ctx, &remote.Restoration{Header: restore.PlanHeader{Command: "restore"}}, nil); err == nil {
			for range plan.Actions(ctx) {
			}
			_ = plan.Close()
		}
		if plan, _, err := p.PlanUndo(ctx, &remote.Undo{Run: string(id)}); err == nil {
			_ = plan.Close()
		}
		_, _ = p.Runs(ctx)
		plan, err := restore.ReadPlan(bytes.NewReader(saved), true)
		if err != nil {
			t.Fatal(err)
		}
		defer plan.Close()
		run, err := p.Begin(ctx, &remote.RunOptions{})
		if err != nil {
			return
		}
		for range run.Apply(ctx, plan, texts{}) {
		}
		for range run.Deliver(ctx, []restore.Action{delivery(2)}, texts{}) {
		}
		_ = run.End(nil)
	})
}
