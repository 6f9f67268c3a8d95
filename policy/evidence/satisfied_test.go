package evidence_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/evidence/store/storetest"
)

// cluster is a node that decides for two namespaces: the image has what alice's namespace requires, and never what
// bob's does. Signatures and bundles are the name of who signed.
type cluster struct {
	*node
	decider *policy.Decider
	// named is the image's reference; nil: that of the node.
	named reference.Named
	// judged counts the files that were judged.
	judged atomic.Int64
	// satisfied receives satisfactions in place of the keeper, if it is set. With panics, judges panic.
	satisfied policy.SatisfiedFunc
	panics    bool
	// judging is called by each judge, if it is set.
	judging func()
	// marker returns what is in a file that somebody signed, if it is set.
	marker func(name string) []byte
}

func signer(name string) *policy.Requirement {
	return &policy.Requirement{
		ID: digest.FromString(name), Kind: policy.SigstoreSigned, JSON: []byte(name), NeedsEvidence: true,
	}
}

// judge reads the files of one kind as the judges do.
func (c *cluster) judge(kind format.Kind) policy.JudgeFunc {
	return func(_ context.Context, request policy.JudgeRequest) policy.Finding {
		if c.judging != nil {
			c.judging()
		}
		if c.panics {
			panic("a judge's fault")
		}
		count := request.Evidence.Signatures
		if kind == format.KindBundle {
			count = request.Evidence.Bundles
		}
		for i := range count {
			raw, err := os.ReadFile(filepath.Join(request.Evidence.Directory, kind.Name(i)))
			if err != nil {
				return policy.Finding{Reason: policy.Unavailable, Detail: err.Error()}
			}
			if c.judged.Add(1); c.isBy(raw, string(request.Requirement.JSON)) {
				return policy.Finding{Met: true}
			}
		}
		detail := fmt.Sprintf("none of %d is by %s", count, request.Requirement.JSON)
		return policy.Finding{Reason: policy.Rejected, Detail: detail}
	}
}

// isBy reports whether somebody signed a file.
func (c *cluster) isBy(raw []byte, name string) bool {
	if c.marker != nil {
		return bytes.Contains(raw, c.marker(name))
	}
	return bytes.HasPrefix(raw, []byte(name+" "))
}

func onCluster(t *testing.T, test func(c *cluster)) {
	t.Helper()
	onNode(t, func(n *node) {
		c := &cluster{node: n}
		c.start()
		test(c)
	})
}

// start starts to decide with the node's keeper.
func (c *cluster) start() {
	c.t.Helper()
	if c.named == nil {
		c.named = parse(c.t, testRepository+":v1")
	}
	image := &policy.Image{
		Config: digest.FromString("config"), Confirmed: true, PulledAs: []reference.Named{c.named},
		Manifests: []policy.Manifest{{Digest: manifestOf("image"), Repositories: []string{c.named.Name()}}},
	}
	documents := &policy.Set{Namespaces: map[string]policy.Source{}}
	for _, name := range []string{"alice", "bob", "carol"} {
		documents.Namespaces[name] = policy.Source{
			Document: &policy.Document{Name: name, Default: []*policy.Requirement{signer(name)}},
		}
	}
	kinds := policy.Kinds{}
	kinds.AddJudge(policy.SigstoreSigned, policy.Judge{Name: "signature", Func: c.judge(format.KindSignature)})
	kinds.AddJudge(policy.SigstoreSigned, policy.Judge{Name: "bundle", Func: c.judge(format.KindBundle)})
	satisfied := c.satisfied
	if satisfied == nil {
		satisfied = c.keeper.Satisfied
	}
	var err error
	c.decider, err = policy.NewDecider(policy.Sources{
		Documents: func() *policy.Set { return documents },
		Image:     func(context.Context, policy.Question) (*policy.Image, error) { return image, nil },
		Lookup:    c.keeper.Lookup, Refetch: c.keeper.Refetch, Satisfied: satisfied,
		Kinds: kinds, Generations: []func() uint64{c.keeper.Generation},
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

// restart ends the process and starts the next.
func (c *cluster) restart() {
	c.t.Helper()
	c.reopen()
	c.start()
}

// ask creates a container in a namespace.
func (c *cluster) ask(namespace string) policy.Verdict {
	c.t.Helper()
	return c.decider.Decide(c.t.Context(), policy.Question{
		Namespace: namespace, Reference: c.named.String(), Config: digest.FromString("config"),
	})
}

// decide creates a container in a namespace, and lets what that starts happen.
func (c *cluster) decide(namespace string) policy.Verdict {
	c.t.Helper()
	verdict := c.ask(namespace)
	synctest.Wait()
	return verdict
}

func (c *cluster) want(when, namespace string, want policy.Reason) {
	c.t.Helper()
	if got := c.decide(namespace); got.Reason != want {
		c.t.Errorf("%s, %s: %s (%s), not %s", when, namespace, got.Reason, got.Detail, want)
	}
}

// serve changes what the registry serves, and triggers a fetch by the namespace whose requirement nothing meets.
func (c *cluster) serve(found evidence.Found) {
	c.t.Helper()
	c.set(found, nil)
	c.sleep(time.Minute)
	c.decide("bob")
	c.sleep(time.Second)
}

// by returns files that somebody signed, numbered from a number on.
func by(name string, from, count int) (files [][]byte) {
	for n := range count {
		files = append(files, fmt.Appendf(nil, "%s %d", name, from+n))
	}
	return files
}

// formats are what a registry serves of files, by their kind.
func formats() map[string]func(tag string, files ...[][]byte) evidence.Found {
	join := func(files [][][]byte) (all [][]byte) {
		for _, some := range files {
			all = append(all, some...)
		}
		return all
	}
	return map[string]func(string, ...[][]byte) evidence.Found{
		"signatures": func(tag string, files ...[][]byte) evidence.Found {
			return evidence.Found{Files: join(files), Tag: digest.FromString(tag)}
		},
		"bundles": func(tag string, files ...[][]byte) evidence.Found {
			return evidence.Found{Bundles: join(files), Tag: digest.FromString(tag)}
		},
	}
}

// TestASatisfiedNamespaceStaysSatisfied: somebody who can push to the signed repository serves something else, and a
// namespace whose requirement is not met triggers a fetch.
func TestASatisfiedNamespaceStaysSatisfied(t *testing.T) {
	for kind, found := range formats() {
		for name, attack := range map[string]func(c *cluster){
			"one junk file in its place": func(c *cluster) { c.serve(found("b", by("mallory", 0, 1))) },
			"64 junk files in its place": func(c *cluster) { c.serve(found("b", by("mallory", 0, 64))) },
			"64 junk files after it":     func(c *cluster) { c.serve(found("b", by("alice", 0, 1), by("mallory", 0, 64))) },
			"200 junk files after it":    func(c *cluster) { c.serve(found("b", by("alice", 0, 1), by("mallory", 0, 200))) },
			"junk of another kind": func(c *cluster) {
				c.serve(evidence.Found{Files: by("mallory", 0, 64), Bundles: by("mallory", 0, 64)})
			},
			"junk of 32 MiB": func(c *cluster) {
				large := [][]byte{}
				for n := range 40 {
					large = append(large, fmt.Appendf(nil, "mallory %d%s", n, strings.Repeat("x", 1<<20-20)))
				}
				c.serve(found("b", large))
			},
			"nothing any more": func(c *cluster) { c.serve(evidence.Found{}) },
			"nothing, and then junk": func(c *cluster) {
				c.serve(evidence.Found{})
				c.serve(found("b", by("mallory", 0, 64)))
			},
			"other junk each time": func(c *cluster) {
				for n := range 10 {
					c.serve(found(fmt.Sprint(n), by("mallory", n*64, 64)))
				}
			},
			"junk after a restart": func(c *cluster) {
				c.restart()
				c.serve(found("b", by("mallory", 0, 64)))
			},
			"junk, before and after a restart": func(c *cluster) {
				c.serve(found("b", by("mallory", 0, 64)))
				c.restart()
				c.serve(found("c", by("mallory", 64, 64)))
			},
			"junk, and an operator imports more": func(c *cluster) {
				c.serve(found("b", by("mallory", 0, 64)))
				c.importItem(newItem(c.t, 1, 64, 64), 128)
			},
			"an operator imports, and then junk": func(c *cluster) {
				c.importItem(newItem(c.t, 1, 64, 64), 128)
				c.serve(found("b", by("mallory", 0, 64)))
			},
			"junk while the image is present, for days": func(c *cluster) {
				c.serve(found("b", by("mallory", 0, 64)))
				c.pass(100, true)
				c.serve(found("c", by("mallory", 64, 64)))
			},
			"failures, and then junk": func(c *cluster) {
				c.set(evidence.Found{}, errDown)
				c.decide("bob")
				c.sleep(time.Minute)
				c.serve(found("b", by("mallory", 0, 64)))
			},
		} {
			t.Run(kind+"/"+name, func(t *testing.T) {
				onCluster(t, func(c *cluster) {
					c.set(found("a", by("alice", 0, 1)), nil)
					c.decide("alice")
					c.want("before", "alice", policy.Accepted)
					c.want("before", "bob", policy.Rejected)
					attack(c)
					c.want("after", "alice", policy.Accepted)
					c.want("after", "bob", policy.Rejected)
					c.restart()
					c.decide("bob")
					c.want("after a restart", "alice", policy.Accepted)
					c.want("after a restart", "bob", policy.Rejected)
				})
			})
		}
	}
}

// TestOnlyTheSatisfyingFileIsRecorded: a judge reports only that one of the files meets the requirement, and no more
// than that one may be protected.
func TestOnlyTheSatisfyingFileIsRecorded(t *testing.T) {
	for kind, found := range formats() {
		t.Run(kind, func(t *testing.T) {
			onCluster(t, func(c *cluster) {
				c.set(found("a", by("mallory", 0, 40), by("alice", 0, 2), by("mallory", 40, 20), by("carol", 0, 1)), nil)
				c.decide("alice")
				c.want("at first", "alice", policy.Accepted)
				c.want("at first", "carol", policy.Accepted)
				got := c.lookup().Satisfied
				if got.Signatures+got.Bundles != 2 {
					t.Errorf("%d signatures and %d bundles are recorded", got.Signatures, got.Bundles)
				}
				c.serve(found("b", by("mallory", 100, 64)))
				c.want("after", "alice", policy.Accepted)
				c.want("after", "carol", policy.Accepted)
				c.want("after", "bob", policy.Rejected)
			})
		})
	}
}

// TestJunkIsNotJudgedForASatisfiedNamespace: otherwise anyone who can push could make each decision take seconds.
func TestJunkIsNotJudgedForASatisfiedNamespace(t *testing.T) {
	onCluster(t, func(c *cluster) {
		found := formats()["bundles"]
		c.set(found("a", by("alice", 0, 1)), nil)
		c.decide("alice")
		c.want("before", "alice", policy.Accepted)
		c.want("recorded", "alice", policy.Accepted)
		for n := range 5 {
			c.serve(found(fmt.Sprint(n), by("mallory", n*64, 64)))
			c.judged.Store(0)
			c.want("after", "alice", policy.Accepted)
			if judged := c.judged.Load(); judged != 0 {
				t.Errorf("%d files were judged", judged)
			}
		}
	})
}

// TestWhatMetNoRequirementIsReplaced: untrusted evidence must not fill a store.
func TestWhatMetNoRequirementIsReplaced(t *testing.T) {
	onCluster(t, func(c *cluster) {
		found := formats()["signatures"]
		for n := range 5 {
			c.serve(found(fmt.Sprint(n), by("mallory", n*64, 64)))
		}
		c.want("junk only", "bob", policy.Rejected)
		got := c.lookup()
		if got.Signatures != 64 || got.Satisfied != (policy.SatisfiedEvidence{}) {
			t.Errorf("%+v", got)
		}
		c.serve(found("good", by("bob", 0, 1)))
		c.want("signed at last", "bob", policy.Accepted)
	})
}

func TestTheEvidenceOfAnImageThatLeftIsRemovedAlthoughItMetARequirement(t *testing.T) {
	onCluster(t, func(c *cluster) {
		c.set(formats()["signatures"]("a", by("alice", 0, 1)), nil)
		c.decide("alice")
		c.want("before", "alice", policy.Accepted)
		c.has(1, "it is in use")
		c.pass(26, false)
		c.has(0, "its image left a day ago")
	})
}

// TestAStoreOfAnEarlierVersionIsProtectedFromItsFirstDecisionOn: it has no record of what met a requirement.
func TestAStoreOfAnEarlierVersionIsProtectedFromItsFirstDecisionOn(t *testing.T) {
	onCluster(t, func(c *cluster) {
		found := formats()["signatures"]
		c.set(found("a", by("alice", 0, 1)), nil)
		c.decide("alice")
		c.want("before", "alice", policy.Accepted)
		c.keeper.Close()
		removeSatisfied(t, c.directory)
		c.open()
		c.start()
		c.want("with the earlier store", "alice", policy.Accepted)
		c.serve(found("b", by("mallory", 0, 64)))
		c.want("after", "alice", policy.Accepted)
	})
}

// removeSatisfied makes of a record one of an earlier version.
func removeSatisfied(t *testing.T, directory string) {
	t.Helper()
	path := filepath.Join(baseOf(directory, "image", testRepository), "record.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fields := map[string]any{}
	if err := json.Unmarshal(raw, &fields); err != nil || fields["satisfied"] == nil {
		t.Fatalf("%s, %v", raw, err)
	}
	delete(fields, "satisfied")
	if raw, err = json.Marshal(fields); err != nil {
		t.Fatal(err)
	}
	write(t, path, string(raw))
}

// TestAFetchThatOvertakesADecisionTakesNothingAway has the files replaced after a decision read them, and before what
// met its requirement is recorded.
func TestAFetchThatOvertakesADecisionTakesNothingAway(t *testing.T) {
	onCluster(t, func(c *cluster) {
		found := formats()["bundles"]
		c.set(found("a", by("alice", 0, 1), by("mallory", 0, 1)), nil)
		c.decide("alice")
		keeper := c.keeper
		held := c.unreported()
		c.fetch(found("b", by("mallory", 0, 64)))
		keeper.Satisfied(held)
		synctest.Wait()
		c.want("after", "alice", policy.Accepted)
		c.restart()
		c.want("after a restart", "alice", policy.Accepted)
	})
}

// TestAFetchWithCredentialsReplacesNothingUnrecorded: like every fetch, it first has recorded what met a requirement.
func TestAFetchWithCredentialsReplacesNothingUnrecorded(t *testing.T) {
	onCluster(t, func(c *cluster) {
		found := formats()["bundles"]
		c.set(found("a", by("alice", 0, 1), by("mallory", 0, 1)), nil)
		c.decide("alice")
		synctest.Wait()
		keeper := c.keeper
		held := c.unreported()
		recording, proceed := make(chan struct{}), make(chan struct{})
		c.judging = sync.OnceFunc(func() { close(recording); <-proceed })
		keeper.Satisfied(held)
		<-recording
		c.set(found("b", by("mallory", 0, 64)), nil)
		ended := make(chan error, 1)
		go func() {
			none := func(string) (string, string, error) { return "", "", nil }
			ended <- keeper.FetchWith(t.Context(), manifestOf("image"), parse(t, testRepository), none)
		}()
		// The test cannot wait for a goroutine that waits for a lock, so it yields often enough for the fetch to end
		// too early.
		for range 10_000 {
			if runtime.Gosched(); len(ended) > 0 {
				t.Error("the fetch has ended before the recording")
				break
			}
		}
		close(proceed)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		c.judging = nil
		c.want("after", "alice", policy.Accepted)
	})
}

// TestASatisfactionThatCouldNotBeRecordedIsRecordedLater: its files cannot be read at first.
func TestASatisfactionThatCouldNotBeRecordedIsRecordedLater(t *testing.T) {
	onCluster(t, func(c *cluster) {
		c.set(formats()["bundles"]("a", by("alice", 0, 1), by("mallory", 0, 1)), nil)
		c.decide("alice")
		keeper := c.keeper
		held := c.unreported()
		unreadable := held
		unreadable.Evidence.Directory = filepath.Join(t.TempDir(), "absent")
		for _, report := range []struct {
			what string
			policy.Satisfaction
			want int
		}{{"unreadable", unreadable, 0}, {"readable", held, 1}} {
			keeper.Satisfied(report.Satisfaction)
			synctest.Wait()
			if got := c.lookup().Satisfied.Bundles; got != report.want {
				t.Errorf("%s: %d bundles are recorded, want %d", report.what, got, report.want)
			}
		}
	})
}

// unreported returns what met the requirement of alice in a decision, which is not reported to the keeper.
func (c *cluster) unreported() policy.Satisfaction {
	c.t.Helper()
	var held []policy.Satisfaction
	c.withSatisfied(func(s policy.Satisfaction) { held = append(held, s) })
	c.want("before", "alice", policy.Accepted)
	if len(held) != 1 {
		c.t.Fatalf("%d satisfactions", len(held))
	}
	return held[0]
}

// withSatisfied starts to decide with another function that receives satisfactions.
func (c *cluster) withSatisfied(satisfied policy.SatisfiedFunc) {
	c.t.Helper()
	c.satisfied = satisfied
	c.start()
}

// TestAPanicWhileRecordingIsSurvived: what judges hostile bytes is not all ours.
func TestAPanicWhileRecordingIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		panics := 0
		w := &world{t: t, start: time.Now()}
		keeper, err := evidence.OpenWith(evidence.Config{
			Directory: t.TempDir(), MaxSize: 1 << 30, Logger: slog.New(slog.NewTextHandler(&log, nil)),
			Panicked: func(*policy.PanicError) { panics++ },
		}, w.look)
		if err != nil {
			t.Fatal(err)
		}
		defer keeper.Close()
		c := &cluster{node: &node{world: w, keeper: keeper}}
		c.start()
		w.set(formats()["bundles"]("a", by("mallory", 0, 1), by("alice", 0, 1)), nil)
		c.decide("alice")
		var held policy.Satisfaction
		c.withSatisfied(func(s policy.Satisfaction) { held = s; c.panics = true })
		c.want("before", "alice", policy.Accepted)
		keeper.Satisfied(held)
		synctest.Wait()
		if panics != 1 || !strings.Contains(log.String(), "could not be recorded") {
			t.Errorf("%d panics, and the log is %q", panics, log.String())
		}
	})
}

// TestSatisfiedEvidenceIsReadByOtherProcesses: the command line decides as the daemon does.
func TestSatisfiedEvidenceIsReadByOtherProcesses(t *testing.T) {
	directory := t.TempDir()
	s := storetest.Open(t, directory)
	k := store.Key{Manifest: manifestOf("image"), Repository: testRepository}
	set, _, err := s.Put(k, store.Content{Files: format.Files(format.KindSignature, by("alice", 0, 1)...)}, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.AddSatisfied(set, set.Content().Files[0]); err != nil {
		t.Fatal(err)
	}
	read := evidence.Read(directory)
	first := read(manifests(k.Manifest), parse(t, testRepository))[0].Satisfied
	second := read(manifests(k.Manifest), parse(t, testRepository))[0].Satisfied
	if first.Signatures != 1 || first.Generation == 0 || first.Generation == second.Generation {
		t.Errorf("%+v, and then %+v", first, second)
	}
}
