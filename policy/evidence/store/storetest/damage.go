package storetest

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"
)

// Place is where the evidence of one key is stored, with at least two signatures.
type Place struct {
	T testing.TB
	// Base is the directory of the record, and Set that of the files.
	Base, Set string
}

func (p Place) record() string { return filepath.Join(p.Base, "record.json") }
func (p Place) signature(n int) string {
	return filepath.Join(p.Set, []string{"", "signature-1", "signature-2"}[n])
}

func (p Place) do(err error) {
	p.T.Helper()
	if err != nil {
		p.T.Fatal(err)
	}
}

func (p Place) write(path string) {
	p.T.Helper()
	p.do(os.MkdirAll(filepath.Dir(path), 0o700))
	p.do(os.WriteFile(path, []byte("x"), 0o600))
}

func (p Place) change(path string, change func([]byte) []byte) {
	p.T.Helper()
	content, err := os.ReadFile(path)
	p.do(err)
	p.do(os.WriteFile(path, change(content), 0o600))
}

// edit changes a field of the record.
func (p Place) edit(name string, value any) {
	p.T.Helper()
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

// Swap exchanges two paths.
func (p Place) Swap(a, b string) {
	p.T.Helper()
	p.do(unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE))
}

// Damages are the ways in which the files on a disk can differ from what was stored.
func Damages() map[string]func(Place) {
	all := damagedRecords()
	maps.Copy(all, damagedSets())
	maps.Copy(all, damagedDirectories())
	return all
}

func damagedRecords() map[string]func(Place) {
	return map[string]func(Place){
		"the record is cut short": func(p Place) { p.change(p.record(), cut) },
		"the record is empty": func(p Place) {
			p.change(p.record(), func([]byte) []byte { return nil })
		},
		"the record is garbage": func(p Place) {
			p.change(p.record(), func([]byte) []byte { return []byte("\x00\xff") })
		},
		"the record is null": func(p Place) {
			p.change(p.record(), func([]byte) []byte { return []byte("null") })
		},
		"the record is missing": func(p Place) { p.do(os.Remove(p.record())) },
		"the record is huge":    func(p Place) { p.do(os.Truncate(p.record(), 1<<30)) },
		"the record is a directory": func(p Place) {
			p.do(os.Remove(p.record()))
			p.do(os.MkdirAll(p.record()+"/x", 0o700))
		},
		"the record is a named pipe": func(p Place) {
			p.do(os.Remove(p.record()))
			p.do(unix.Mkfifo(p.record(), 0o600))
		},
		"the record is of a newer version":    func(p Place) { p.edit("version", 2) },
		"the record is of another manifest":   func(p Place) { p.edit("manifest", digest.FromString("another")) },
		"the record is of another repository": func(p Place) { p.edit("repository", "registry.example/other") },
		"the record has no outcome":           func(p Place) { p.edit("outcome", "") },
		"the record has the outcome failed":   func(p Place) { p.edit("outcome", "failed") },
		"the record says none of signatures":  func(p Place) { p.edit("outcome", "none") },
		"the record lists nothing":            func(p Place) { p.edit("signatures", []any{}) },
		"the record lists sizes that overflow": func(p Place) {
			p.edit("signatures", []any{map[string]any{"size": 1 << 62}, map[string]any{"size": 1 << 62}})
		},
		"the record names a set above":       func(p Place) { p.edit("set", "set-/../../"+filepath.Base(p.Base)) },
		"the record names a set that is not": func(p Place) { p.edit("set", "set-0") },
	}
}

func damagedSets() map[string]func(Place) {
	return map[string]func(Place){
		"a signature is cut short":        func(p Place) { p.change(p.signature(2), cut) },
		"a signature has one bit changed": func(p Place) { p.change(p.signature(1), flip) },
		"a signature is empty":            func(p Place) { p.do(os.Truncate(p.signature(1), 0)) },
		"a signature is longer": func(p Place) {
			p.change(p.signature(1), func(b []byte) []byte { return append(b, ' ') })
		},
		"a signature is missing": func(p Place) { p.do(os.Remove(p.signature(2))) },
		"a signature is a link": func(p Place) {
			p.do(os.Rename(p.signature(1), p.Base+"/x"))
			p.do(os.Symlink(p.Base+"/x", p.signature(1)))
		},
		"a signature is a named pipe": func(p Place) {
			p.do(os.Remove(p.signature(1)))
			p.do(unix.Mkfifo(p.signature(1), 0o600))
		},
		"a signature is a directory": func(p Place) {
			p.do(os.Remove(p.signature(1)))
			p.do(os.Mkdir(p.signature(1), 0o700))
		},
		"two signatures changed places":    func(p Place) { p.Swap(p.signature(1), p.signature(2)) },
		"there is an additional signature": func(p Place) { p.write(p.Set + "/signature-3") },
		"the set is missing":               func(p Place) { p.do(os.RemoveAll(p.Set)) },
		"the set is a file":                func(p Place) { p.do(os.RemoveAll(p.Set)); p.write(p.Set) },
	}
}

func damagedDirectories() map[string]func(Place) {
	return map[string]func(Place){
		"everything is missing":               func(p Place) { p.do(os.RemoveAll(p.Base)) },
		"a file is in place of the directory": func(p Place) { p.do(os.RemoveAll(p.Base)); p.write(p.Base) },
		"a file is in place of the manifest's directory": func(p Place) {
			up := filepath.Dir(p.Base)
			p.do(os.RemoveAll(up))
			p.write(up)
		},
		"a link is in place of the directory": func(p Place) {
			p.do(os.Rename(p.Base, p.Base+"x"))
			p.do(os.Symlink(p.Base+"x", p.Base))
		},
	}
}
