package countersign_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestEachPromiseOfTheThreatModelNamesItsTest: only what is tested is promised. Another test checks that the named
// functions exist.
func TestEachPromiseOfTheThreatModelNamesItsTest(t *testing.T) {
	const page = "docs/threat-model.md"
	tests := map[string]string{}
	for _, path := range filesBelow(t, ".", "_test.go") {
		tests[path] = textOf(t, path)
	}
	isPart := func(name string) bool {
		for _, text := range tests {
			if strings.Contains(text, `t.Run("`+name+`"`) {
				return true
			}
		}
		return false
	}
	evidence := regexp.MustCompile("`make (chaos|soak)`|\\bTest[A-Z]\\w+")
	folder := regexp.MustCompile("`(integration/\\w+)` (Test[A-Z]\\w+)")
	promises, shown := 0, false
	for line := range strings.Lines(textOf(t, page)) {
		columns := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(columns) < 3 {
			shown = false
			continue
		}
		last := strings.TrimSpace(columns[len(columns)-1])
		switch {
		case last == "shown by":
			shown = true
			continue
		case !shown || strings.HasPrefix(last, "---"):
			continue
		}
		promises++
		if !evidence.MatchString(last) {
			t.Errorf("%s promises without naming a test: %s", page, line)
		}
		for _, part := range regexp.MustCompile(`"([^"]+)"`).FindAllStringSubmatch(last, -1) {
			if !isPart(part[1]) {
				t.Errorf("%s names the part %q, which does not exist", page, part[1])
			}
		}
		for _, named := range folder.FindAllStringSubmatch(last, -1) {
			if !declaredIn(tests, named[1], named[2]) {
				t.Errorf("%s says that %s is in %s, and it is not", page, named[2], named[1])
			}
		}
	}
	if promises < 30 {
		t.Errorf("%s has only %d promises: are its tables found?", page, promises)
	}
}

func declaredIn(tests map[string]string, folder, name string) bool {
	for path, text := range tests {
		if strings.HasPrefix(path, folder+"/") && strings.Contains(text, "func "+name+"(") {
			return true
		}
	}
	return false
}
