package explain_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/countersign/countersign/integration/rig"
)

// troubleshooting is the page with the explanations. Where COUNTERSIGN_UPDATE_DOCS is set, the test writes them.
const troubleshooting = "../../docs/troubleshooting.md"

// outputs are explanations by the names that the page gives them.
type outputs map[string]string

// compareDocs compares the explanations with those in the page, each of which follows its name.
func (l *lab) compareDocs(t *testing.T, shown outputs) {
	t.Helper()
	page := string(rig.Must(os.ReadFile(troubleshooting))(t))
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		block := regexp.MustCompile("(?s)(<!-- explain: " + regexp.QuoteMeta(name) + " -->\n```text\n)(.*?)(```\n)")
		found := block.FindStringSubmatchIndex(page)
		if found == nil {
			t.Errorf("%s has no block %q for\n%s", troubleshooting, name, shown[name])
			continue
		}
		if page[found[4]:found[5]] == shown[name] {
			continue
		}
		if os.Getenv("COUNTERSIGN_UPDATE_DOCS") == "" {
			t.Errorf("%s, block %q, differs (run the test with COUNTERSIGN_UPDATE_DOCS=1):\n%s\nis now\n%s",
				troubleshooting, name, page[found[4]:found[5]], shown[name])
			continue
		}
		page = page[:found[4]] + shown[name] + page[found[5]:]
	}
	if os.Getenv("COUNTERSIGN_UPDATE_DOCS") != "" {
		rig.OK(t, os.WriteFile(troubleshooting, []byte(page), 0o600))
	}
}
