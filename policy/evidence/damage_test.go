package evidence_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/distribution/reference"
	"golang.org/x/sys/unix"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
)

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

// place is where the evidence of one manifest lies, with the tools to spoil it.
type place struct {
	t    *testing.T
	base string
	set  string
}

func (p place) record() string { return filepath.Join(p.base, "record.json") }
func (p place) signature(n int) string {
	return filepath.Join(p.set, []string{"", "signature-1", "signature-2"}[n])
}

func (p place) do(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

func (p place) change(path string, change func([]byte) []byte) {
	p.t.Helper()
	content, err := os.ReadFile(path)
	p.do(err)
	p.do(os.WriteFile(path, change(content), 0o600))
}

// edit changes a field of the record.
func (p place) edit(name string, value any) {
	p.t.Helper()
	p.change(p.record(), func(raw []byte) []byte {
		fields := map[string]any{}
		p.do(json.Unmarshal(raw, &fields))
		fields[name] = value
		raw, err := json.Marshal(fields)
		p.do(err)
		return raw
	})
}

func cut(content []byte) []byte { return content[:len(content)/2] }

func flip(content []byte) []byte {
	content = bytes.Clone(content)
	content[len(content)/2] ^= 1
	return content
}

// damages are the ways in which what lies on a disk is not what was put there.
func damages() map[string]func(place) {
	return map[string]func(place){
		"the record is cut short": func(p place) { p.change(p.record(), cut) },
		"the record is empty": func(p place) {
			p.change(p.record(), func([]byte) []byte { return nil })
		},
		"the record is garbage": func(p place) {
			p.change(p.record(), func([]byte) []byte { return []byte("\x00\xff") })
		},
		"the record is null": func(p place) {
			p.change(p.record(), func([]byte) []byte { return []byte("null") })
		},
		"the record is gone": func(p place) { p.do(os.Remove(p.record())) },
		"the record is huge": func(p place) { p.do(os.Truncate(p.record(), 1<<30)) },
		"the record is a directory": func(p place) {
			p.do(os.Remove(p.record()))
			p.do(os.MkdirAll(p.record()+"/x", 0o700))
		},
		"the record is a named pipe": func(p place) {
			p.do(os.Remove(p.record()))
			p.do(unix.Mkfifo(p.record(), 0o600))
		},
		"the record is of a newer version":   func(p place) { p.edit("version", 2) },
		"the record is of another manifest":  func(p place) { p.edit("manifest", manifestOf("another")) },
		"the record is of another place":     func(p place) { p.edit("repository", "registry.example/other") },
		"the record has no outcome":          func(p place) { p.edit("outcome", "") },
		"the record says failed":             func(p place) { p.edit("outcome", "failed") },
		"the record says none of signatures": func(p place) { p.edit("outcome", "none") },
		"the record lists nothing":           func(p place) { p.edit("signatures", []any{}) },
		"the record lists sizes that overflow": func(p place) {
			p.edit("signatures", []any{map[string]any{"size": 1 << 62}, map[string]any{"size": 1 << 62}})
		},
		"the record names a set above":    func(p place) { p.edit("set", "set-/../../"+filepath.Base(p.base)) },
		"the record names no set":         func(p place) { p.edit("set", "set-0") },
		"a signature is cut short":        func(p place) { p.change(p.signature(2), cut) },
		"a signature has one bit changed": func(p place) { p.change(p.signature(1), flip) },
		"a signature is empty":            func(p place) { p.do(os.Truncate(p.signature(1), 0)) },
		"a signature is longer": func(p place) {
			p.change(p.signature(1), func(b []byte) []byte { return append(b, ' ') })
		},
		"a signature is gone": func(p place) { p.do(os.Remove(p.signature(2))) },
		"a signature is a link": func(p place) {
			p.do(os.Rename(p.signature(1), p.base+"/x"))
			p.do(os.Symlink(p.base+"/x", p.signature(1)))
		},
		"a signature is a named pipe": func(p place) {
			p.do(os.Remove(p.signature(1)))
			p.do(unix.Mkfifo(p.signature(1), 0o600))
		},
		"a signature is a directory": func(p place) {
			p.do(os.Remove(p.signature(1)))
			p.do(os.Mkdir(p.signature(1), 0o700))
		},
		"two signatures changed places": func(p place) { swap(p, p.signature(1), p.signature(2)) },
		"there is a signature more":     func(p place) { write(p.t, p.set+"/signature-3", "x") },
		"the set is gone":               func(p place) { p.do(os.RemoveAll(p.set)) },
		"the set is a file":             func(p place) { p.do(os.RemoveAll(p.set)); write(p.t, p.set, "x") },
		"everything is gone":            func(p place) { p.do(os.RemoveAll(p.base)) },
		"a file is in the way":          func(p place) { p.do(os.RemoveAll(p.base)); write(p.t, p.base, "x") },
		"a file is in the way, further up": func(p place) {
			up := filepath.Dir(p.base)
			p.do(os.RemoveAll(up))
			write(p.t, up, "x")
		},
		"a link is in the way": func(p place) {
			p.do(os.Rename(p.base, p.base+"x"))
			p.do(os.Symlink(p.base+"x", p.base))
		},
	}
}

func swap(p place, a, b string) {
	p.do(unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE))
}

func TestWhatIsDamagedIsAbsentAndFetchedAgain(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			m := manifestOf("image")
			r.sign(t, "app", m, signed(1), signed(2))
			named, config := r.named(t, "app"), evidence.Config{Directory: t.TempDir()}
			before := open(t, config)
			first := fetched(t, before, named, m)
			before.Close()
			damage(place{t: t, base: evidence.Location(config.Directory, m, named.Name()), set: first.Directory})

			read := evidence.Read(config.Directory)(manifests(m), named)[0]
			if read.State != policy.Unknown || read.Signatures != 0 || read.Directory != "" {
				t.Errorf("to another process it is %+v", read)
			}
			keeper := open(t, config)
			got := fetched(t, keeper, named, m)
			if got.State != policy.Found || got.Signatures != 2 || len(filesIn(t, got.Directory)) != 2 {
				t.Fatalf("fetched again: %+v", got)
			}
			keeper.Close()
			if got := evidence.Read(config.Directory)(manifests(m), named)[0]; got.State != policy.Found {
				t.Errorf("after a restart: %+v", got)
			}
		})
	}
}

func TestWhatIsDamagedWhileRunningIsFetchedAgainWhenSomeoneWaits(t *testing.T) {
	for name, damage := range damages() {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			m := manifestOf("image")
			r.sign(t, "app", m, signed(1), signed(2))
			named, config := r.named(t, "app"), evidence.Config{Directory: t.TempDir()}
			keeper := open(t, config)
			first := fetched(t, keeper, named, m)
			damage(place{t: t, base: evidence.Location(config.Directory, m, named.Name()), set: first.Directory})
			got := fetched(t, keeper, named, m)
			if got.State != policy.Found {
				t.Fatalf("%+v", got)
			}
			want := []string{string(signed(1).file(t)), string(signed(2).file(t))}
			if files := filesIn(t, got.Directory); len(files) != 2 || files[0] != want[0] || files[1] != want[1] {
				t.Error("it is still damaged")
			}
		})
	}
}

func TestDirectoriesThatChangedPlacesAreAbsent(t *testing.T) {
	r := newRegistry(t)
	one, other := manifestOf("one"), manifestOf("other")
	r.sign(t, "app", one, signed(1))
	r.sign(t, "app", other, signed(2))
	r.sign(t, "app2", one, signed(3))
	named, named2 := r.named(t, "app"), r.named(t, "app2")
	for name, pair := range map[string]struct {
		a, b   reference.Named
		digest int
	}{
		"of two manifests":    {named, named, 1},
		"of two repositories": {named, named2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			second := one
			if pair.digest == 1 {
				second = other
			}
			config := evidence.Config{Directory: t.TempDir()}
			keeper := open(t, config)
			fetched(t, keeper, pair.a, one)
			fetched(t, keeper, pair.b, second)
			swap(place{t: t}, evidence.Location(config.Directory, one, pair.a.Name()),
				evidence.Location(config.Directory, second, pair.b.Name()))
			if got := kept(keeper, pair.a, one); got.State != policy.Unknown {
				t.Errorf("while running: %+v", got)
			}
			if got := evidence.Read(config.Directory)(manifests(second), pair.b)[0]; got.State != policy.Unknown {
				t.Errorf("to another process: %+v", got)
			}
			if got := fetched(t, keeper, pair.a, one); got.State != policy.Found {
				t.Errorf("fetched again: %+v", got)
			}
		})
	}
}
