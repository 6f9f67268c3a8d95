package kubernetes_test

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/integration/rig"
)

// table is what was shown, by what it was shown for. The one row whose columns are not statuses, which are in
// backquotes, is the head.
type table map[string][]string

// wantIn compares the table with the one in docs/kubernetes.md that a comment names.
func (shown table) wantIn(t *testing.T, name string) {
	t.Helper()
	page := string(rig.Must(os.ReadFile("../../docs/kubernetes.md"))(t))
	_, rest, _ := strings.Cut(page, "<!-- "+name+" -->\n")
	written, _, found := strings.Cut(rest, "<!-- end -->")
	if diff := gocmp.Diff(shown.String(), written); !found || diff != "" {
		t.Errorf("docs/kubernetes.md, %s (-shown +written):\n%s", name, diff)
	}
}

// String returns the table in Markdown: the head, then the rows in the order of their names.
func (shown table) String() string {
	isHead := func(row string) bool { return !strings.HasPrefix(shown[row][0], "`") }
	rows := slices.SortedFunc(maps.Keys(shown), func(a, b string) int {
		switch {
		case isHead(a):
			return -1
		case isHead(b):
			return 1
		default:
			return cmp.Compare(a, b)
		}
	})
	var text strings.Builder
	for i, row := range rows {
		fmt.Fprintf(&text, "| %s | %s |\n", row, strings.Join(shown[row], " | "))
		if i == 0 {
			text.WriteString(strings.Repeat("|---", len(shown[row])+1) + "|\n")
		}
	}
	return text.String()
}
