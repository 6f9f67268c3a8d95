package files_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy/files"
)

// newClusterNode returns a node whose cluster document is cluster/cluster.json.
func newClusterNode(t *testing.T, written map[string]string) *node {
	t.Helper()
	n := newNode(t, written)
	n.mkdir("cluster")
	n.config.Cluster = n.path("cluster/cluster.json")
	n.config.ClusterStateFile = n.path("state/cluster-policy-seen")
	return n
}

func TestTheClusterDocumentReplacesTheSystemPolicy(t *testing.T) {
	t.Parallel()
	n := newClusterNode(t, map[string]string{
		"system.json": system, "cluster/cluster.json": strict, "policies/dev.json": lax,
	}).run()
	n.is("prod", "strict")
	n.is("dev", "lax")
	n.remove("policies/dev.json")
	n.until("dev", "strict")
	if got := n.documents.Status().Documents; got != 2 {
		t.Errorf("there are %d documents, want the system policy and the cluster's", got)
	}
}

func TestTheClusterDocumentIsFollowed(t *testing.T) {
	t.Parallel()
	n := newClusterNode(t, map[string]string{"system.json": system}).run()
	n.is("prod", "system")
	n.put("cluster/cluster.json", strict)
	n.until("prod", "strict")
	check := n.witness("strict", "edited")
	n.put("cluster/cluster.json", edited)
	n.until("prod", "edited")
	n.put("cluster/cluster.json", "{")
	n.problem("parsing policy " + n.config.Cluster)
	n.is("prod", "edited")
	n.remove("cluster/cluster.json")
	n.put("cluster/cluster.json", strict)
	n.until("prod", "strict")
	n.problem("")
	check()
	n.remove("cluster/cluster.json")
	n.until("prod", "system")
	n.problem("")
}

func TestAClusterDocumentWhoseDirectoryAppearsIsFound(t *testing.T) {
	t.Parallel()
	n := newClusterNode(t, map[string]string{"system.json": system})
	n.remove("cluster")
	n.run()
	n.is("prod", "system")
	n.write("cluster/cluster.json", strict)
	n.until("prod", "strict")
}

func TestAKeyFileOfTheClusterDocumentIsFollowed(t *testing.T) {
	t.Parallel()
	n := newClusterNode(t, map[string]string{"system.json": system, "key": "one"})
	n.write("cluster/cluster.json", `{"is": "strict", "keys": ["`+n.path("key")+`"]}`)
	n.run()
	n.is("prod", "strict+one")
	n.put("key", "two")
	n.until("prod", "strict+two")
}

func TestAClusterDocumentThatCannotBeUsedDenies(t *testing.T) {
	tests := map[string]struct {
		breaks func(n *node)
		want   string
	}{
		"it is malformed": {func(n *node) { n.write("cluster/cluster.json", "{") }, "denied: parsing policy"},
		"it is empty":     {func(n *node) { n.write("cluster/cluster.json", "") }, "denied: parsing policy"},
		"it panics the parser": {
			func(n *node) { n.write("cluster/cluster.json", `{"is": "panics"}`) }, "denied: parsing policy",
		},
		"it is a directory":   {func(n *node) { n.mkdir("cluster/cluster.json") }, "denied: reading policy"},
		"its link leads away": {func(n *node) { n.symlink("absent", "cluster/cluster.json") }, "denied: reading policy"},
		"its directory is a file": {
			func(n *node) { n.remove("cluster"); n.write("cluster", "") }, "denied: reading policy",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newClusterNode(t, map[string]string{"system.json": system, "policies/dev.json": lax})
			test.breaks(n)
			n.documents = files.Open(n.config)
			n.is("prod", test.want)
			n.is("dev", "lax")
			if status := n.documents.Status(); status.Failures != 1 || len(status.Problems) != 1 {
				t.Errorf("status: %+v", status)
			}
		})
	}
}

func TestAClusterDocumentThatIsGoneAfterARestartDenies(t *testing.T) {
	t.Parallel()
	n := newClusterNode(t, map[string]string{
		"system.json": system, "cluster/cluster.json": strict, "policies/dev.json": lax,
	})
	n.documents = files.Open(n.config)
	stop := n.start()
	n.wait("the state file", func() bool {
		raw, err := os.ReadFile(n.config.ClusterStateFile)
		return err == nil && string(raw) == n.config.Cluster+"\n" || n.touch("policies/other.json")
	})
	stop()

	n.remove("cluster/cluster.json")
	n.follow(files.OpenWithShortIntervals(n.config, soon))
	n.is("prod", "denied: reading cluster policy "+n.config.Cluster+": it does not exist, but did before; "+
		"a mount may be missing, or if there is meant to be none remove "+n.config.ClusterStateFile)
	n.is("dev", "lax")
	n.problem("it does not exist, but did before")
	n.write("cluster/cluster.json", edited)
	n.until("prod", "edited")
	n.problem("")
}

func TestRemovingItsStateFileAcceptsThatTheClusterDocumentIsGone(t *testing.T) {
	t.Parallel()
	n := newClusterNode(t, map[string]string{"system.json": system})
	n.write("state/cluster-policy-seen", n.config.Cluster+"\n")
	n.follow(files.OpenWithShortIntervals(n.config, soon))
	n.is("prod", "denied")
	n.remove("state/cluster-policy-seen")
	n.until("prod", "system")
	n.problem("")
}

func TestAClusterDocumentThatWasSeenToBeRemovedIsNotMissed(t *testing.T) {
	t.Parallel()
	n := newClusterNode(t, map[string]string{"system.json": system, "cluster/cluster.json": strict})
	n.documents = files.Open(n.config)
	stop := n.start()
	n.remove("cluster/cluster.json")
	n.until("prod", "system")
	n.problem("")
	stop()
	if _, err := os.Stat(n.config.ClusterStateFile); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the state file: %v, want it not to exist", err)
	}
	n.documents = files.Open(n.config)
	n.is("prod", "system")
}

func TestAClusterDocumentIsInForceWhileItsDirectoryIsAnother(t *testing.T) {
	for name, away := range map[string]func(n *node){
		"there is no directory":      func(n *node) { n.rename("cluster", "old") },
		"there is another directory": func(n *node) { n.rename("cluster", "old"); n.mkdir("cluster") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newClusterNode(t, map[string]string{"system.json": system, "cluster/cluster.json": strict})
			n.follow(files.OpenWithShortIntervals(n.config, soon))
			check := n.witness("strict", "edited")
			away(n)
			n.problem("it does not exist, nor does the directory that held it")
			n.remove("cluster")
			n.rename("old", "cluster")
			n.problem("")
			n.put("cluster/cluster.json", edited)
			n.until("prod", "edited")
			check()
		})
	}
}

func TestTheClusterStateFileOfAnotherDocumentDoesNotMatter(t *testing.T) {
	t.Parallel()
	n := newClusterNode(t, map[string]string{"system.json": system})
	n.write("state/cluster-policy-seen", strings.TrimSuffix(n.config.Cluster, filepath.Ext(n.config.Cluster))+"\n")
	n.documents = files.Open(n.config)
	n.is("prod", "system")
}
