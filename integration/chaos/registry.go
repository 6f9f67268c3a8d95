//go:build linux

package main

import (
	"fmt"
	"math/rand"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// mood is how a registry answers requests for signatures.
type mood int32

const (
	good mood = iota
	slowly
	silent
	junk
	failing
	gone
)

// moody wraps a registry whose mood changes. Images are always served, because the fault is to concern signatures.
type moody struct {
	now   atomic.Int32
	asked atomic.Int64
}

func (m *moody) set(to mood) { m.now.Store(int32(to)) }

func (m *moody) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		if !isAboutSignatures(request) {
			next.ServeHTTP(writer, request)
			return
		}
		m.asked.Add(1)
		switch mood(m.now.Load()) {
		case slowly:
			pause(request.Context(), 3*time.Second)
			next.ServeHTTP(writer, request)
		case silent:
			<-request.Context().Done()
		case junk:
			writeJunk(writer)
		case failing:
			http.Error(writer, "no", http.StatusBadGateway)
		case gone:
			if connection, _, err := http.NewResponseController(writer).Hijack(); err == nil {
				_ = connection.Close()
			}
		case good:
			next.ServeHTTP(writer, request)
		}
	})
}

func isAboutSignatures(request *http.Request) bool {
	return strings.Contains(request.URL.Path, "/manifests/sha256-") ||
		strings.Contains(request.URL.Path, "/referrers/") && request.Method != http.MethodPut
}

// writeJunk answers with a manifest that is none, and is longer than it says.
func writeJunk(writer http.ResponseWriter) {
	contents := make([]byte, 4096)
	for i := range contents {
		contents[i] = byte(rand.Intn(256)) //nolint:gosec // It is junk.
	}
	writer.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
	writer.Header().Set("Docker-Content-Digest", fmt.Sprintf("sha256:%064x", contents[:32]))
	writer.WriteHeader(http.StatusOK)
	_, _ = writer.Write(contents)
}
