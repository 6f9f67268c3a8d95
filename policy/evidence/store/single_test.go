package store_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
)

// TestADirectoryInMemoryStaysWhileOthersStart makes many, while processes that start remove what is abandoned.
func TestADirectoryInMemoryStaysWhileOthersStart(t *testing.T) {
	var others sync.WaitGroup
	defer others.Wait()
	done := make(chan struct{})
	defer close(done)
	for range 2 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					store.RemoveAbandoned()
				}
			}
		})
	}
	file := format.File{Kind: format.KindSignature, Bytes: []byte("signature")}
	for n := range 2000 {
		err := store.WithFile(file, func(directory string) {
			if raw, err := os.ReadFile(filepath.Join(directory, file.Kind.Name(0))); string(raw) != "signature" {
				t.Errorf("file %d has the bytes %q: %v", n, raw, err)
			}
		})
		if err != nil {
			t.Fatalf("file %d: %v", n, err)
		}
	}
}
