package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/countersign/countersign/plugin/daemon"
)

// logLine returns a record of the audit log, as the daemon writes it.
func logLine(second int, namespace, pod, container, id string) string {
	at := time.Date(2026, 11, 29, 10, 0, second, 0, time.UTC).Format(time.RFC3339)
	return fmt.Sprintf(`{"time":%q,"level":"WARN","msg":"decision","outcome":"deny","reason":"unsigned",`+
		`"stage":"creation","mode":"enforce","namespace":%q,"pod":%q,"container":%q,"container_id":%q,`+
		`"reference":"registry.example/app:v1","took_seconds":0.001,"schema":1}`+"\n",
		at, namespace, pod, container, id)
}

func TestExplainFindsTheDecisionsAboutASubjectInALog(t *testing.T) {
	t.Parallel()
	const id = "3f2a9c51d07e0000"
	log := "time=2026-11-29T10:00:00Z msg=decision outcome=deny pod=api\n" +
		logLine(1, "prod", "web", "app", id) +
		logLine(2, "prod", "web-2", "app", "aaaa0000bbbb1111") +
		logLine(3, "dev", "web", "app", "cccc0000dddd1111") +
		"time=2026-11-29T10:00:04Z msg=decision outcome=deny pod=web\n" +
		"a line that mentions web and " + id + "\n" +
		logLine(5, "prod", "web", "proxy", "eeee0000ffff1111") +
		logLine(6, "prod", `a "quoted" pod`, "app", "0123000045671111") +
		logLine(7, "prod", "über", "app", "89ab0000cdef1111")
	path := filepath.Join(t.TempDir(), "audit.log")
	if err := os.WriteFile(path, []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		about daemon.Subject
		want  []int
	}{
		"a pod, the newest first":                {daemon.Subject{Namespace: "prod", Pod: "web"}, []int{5, 1}},
		"a container of a pod":                   {daemon.Subject{Namespace: "prod", Pod: "web", Container: "app"}, []int{1}},
		"a pod of another namespace":             {daemon.Subject{Namespace: "dev", Pod: "web"}, []int{3}},
		"a container by the beginning of its ID": {daemon.Subject{ContainerID: id[:8]}, []int{1}},
		"a pod with a name that JSON escapes":    {daemon.Subject{Namespace: "prod", Pod: `a "quoted" pod`}, []int{6}},
		"a pod with a name that JSON may escape": {daemon.Subject{Namespace: "prod", Pod: "über"}, []int{7}},
		"a pod that the log does not have":       {daemon.Subject{Namespace: "prod", Pod: "api"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, err := loggedDecisions(t.Context(), fileLog(path, 0, false), test.about)
			if err != nil {
				t.Fatal(err)
			}
			var got []int
			for _, decision := range found {
				got = append(got, decision.Time.Second())
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("found the decisions of the seconds %v, want %v", got, test.want)
			}
		})
	}
}

func BenchmarkLoggedDecisions(b *testing.B) {
	var log bytes.Buffer
	log.WriteString(logLine(1, "prod", "web", "app", "3f2a9c51d07e0000"))
	for i := range 100_000 {
		log.WriteString(logLine(i%60, "prod", fmt.Sprintf("other-%d-web", i), "app", "aaaa0000bbbb1111"))
	}
	path := filepath.Join(b.TempDir(), "audit.log")
	if err := os.WriteFile(path, log.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		found, err := loggedDecisions(b.Context(), fileLog(path, 0, false), daemon.Subject{Namespace: "prod", Pod: "web"})
		if err != nil || len(found) != 1 {
			b.Fatal(found, err)
		}
	}
}
