package audit_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/plugin/internal/audit"
	"github.com/countersign/countersign/policy"
)

// samples writes one record of each kind, with a value for each key.
func samples() map[string]func(*testing.T, *audit.Log) error {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	return map[string]func(*testing.T, *audit.Log) error{
		audit.DecisionMessage: func(t *testing.T, log *audit.Log) error {
			t.Helper()
			return log.Write(t.Context(), audit.Record{
				Time: at, Took: 312 * time.Microsecond, Stage: audit.Creation, Mode: audit.Enforce,
				FoundBy:  policy.FoundByLayers,
				Question: policy.Question{Namespace: "prod", Reference: "app:v1", Config: config},
				Verdict: policy.Verdict{
					Outcome: policy.Admit, Reason: policy.Accepted, Reference: "registry.example/app:v1", Digest: manifest,
					Document: "/etc/countersign/policies/prod.json", Scope: "registry.example",
					Detail: "signed by\n/etc/keys/prod.pub", Cached: true,
				},
				Pod: "app-0", PodUID: "6f1c", Container: "app", ContainerID: "c0ffee", Volume: "/model",
			})
		},
		audit.PullMessage: func(t *testing.T, log *audit.Log) error {
			t.Helper()
			return log.WritePull(t.Context(), audit.Pull{
				Time: at, Took: 312 * time.Millisecond,
				Name: "registry.example/app:v1", Digest: manifest, Namespace: "prod", Pod: "web-0",
				Outcome: policy.Admit, Mode: audit.Audit,
				Verdict: policy.Verdict{
					Reason: policy.Unsigned, Reference: "registry.example/app:v1", Digest: config,
					Document: "/etc/containers/policy.json", Scope: "registry.example", Detail: "no signatures",
				},
			})
		},
	}
}

// TestRecordsAreAsTheirGoldenFiles: other programs read records. If a key is removed or changes its meaning, the
// version of the schema changes. A record is written at every level of the log.
func TestRecordsAreAsTheirGoldenFiles(t *testing.T) {
	for _, kind := range audit.Schema() {
		t.Run(kind.Message, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join("testdata", kind.Message+".json"))
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			log := audit.New(slog.New(slog.NewJSONHandler(&got, &slog.HandlerOptions{Level: slog.LevelError})))
			if err := samples()[kind.Message](t, log); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("record (-golden +got):\n%s", diff)
			}
		})
	}
}

func TestTheSchemaDescribesEveryKeyOfTheGoldenFiles(t *testing.T) {
	for _, kind := range audit.Schema() {
		t.Run(kind.Message, func(t *testing.T) {
			raw, err := os.ReadFile(filepath.Join("testdata", kind.Message+".json"))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(keys(t, raw), namesAndTypes(kind.Keys)); diff != "" {
				t.Errorf("keys (-record +schema):\n%s", diff)
			}
			for _, key := range kind.Keys {
				if key.Meaning == "" {
					t.Errorf("%s has no meaning", key.Name)
				}
			}
		})
	}
}

func namesAndTypes(keys []audit.Key) (list []string) {
	for _, key := range keys {
		list = append(list, key.Name+" "+key.Type)
	}
	return list
}

// keys returns the keys of a record in their order, with the types of their values.
func keys(t *testing.T, record []byte) (list []string) {
	t.Helper()
	tokens := json.NewDecoder(bytes.NewReader(record))
	next := func() json.Token {
		token, err := tokens.Token()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	next() // The brace.
	for tokens.More() {
		key, _ := next().(string)
		kind := "number"
		switch next().(type) {
		case string:
			kind = "string"
		case bool:
			kind = "boolean"
		}
		list = append(list, key+" "+kind)
	}
	return list
}
