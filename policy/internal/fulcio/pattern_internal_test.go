package fulcio

import (
	"regexp"
	"strings"
	"testing"
)

const workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1.2.0"

func TestPatternsMatchWholeURIsOfOneOwner(t *testing.T) {
	for name, test := range map[string]struct {
		pattern string
		// matches are matched, others are not.
		matches, others []string
	}{
		"release tags": {
			`https://github\.com/acme/app/\.github/workflows/release\.yml@refs/tags/v[0-9.]+`,
			[]string{workflow},
			[]string{
				workflow + "\n", workflow + "-rc1", "x" + workflow, " " + workflow, strings.ToUpper(workflow),
				strings.Replace(workflow, "tags", "heads", 1), strings.Replace(workflow, "acme", "evil/acme", 1), "",
			},
		},
		"any workflow of an owner": {
			`https://github\.com/acme/.*`,
			[]string{workflow, "https://github.com/acme/"},
			[]string{"https://github.com/acme", "https://github.com/acme-evil/app", "https://github.com/evil/acme/app"},
		},
		"anchored by its author": {
			`^https://github\.com/acme/app$`,
			[]string{"https://github.com/acme/app"},
			[]string{workflow},
		},
		"anchored per line": {
			`(?m)https://github\.com/acme/app$`,
			[]string{"https://github.com/acme/app"},
			[]string{"https://github.com/acme/app\nx"},
		},
		"alternatives of one owner": {
			`https://github\.com/acme/app|https://github\.com/acme/web`,
			[]string{"https://github.com/acme/app", "https://github.com/acme/web"},
			[]string{"https://github.com/acme/application", "xhttps://github.com/acme/web"},
		},
		"a shorter alternative first": {
			`https://github\.com/acme/(a|app)`,
			[]string{"https://github.com/acme/app"},
			[]string{"https://github.com/acme/apple"},
		},
		"a lazy part": {`https://github\.com/acme/.*?`, []string{workflow}, nil},
		"a quoted part": {
			`\Qhttps://github.com/acme/app\E@.*`,
			[]string{"https://github.com/acme/app@x"},
			[]string{"https://githubxcom/acme/app@x"},
		},
		"a class for a dot": {`https://github[.]com/acme/app`, []string{"https://github.com/acme/app"}, nil},
		"a group":           {`(https://github\.com/acme/)app`, []string{"https://github.com/acme/app"}, nil},
		"a port": {
			`https://git\.example:8443/acme/.*`,
			[]string{"https://git.example:8443/acme/app"},
			[]string{"https://git.example/acme/app"},
		},
		"a part in any case": {
			`https://github\.com/acme/(?i:APP)`,
			[]string{"https://github.com/acme/app"},
			[]string{"https://github.com/ACME/app"},
		},
		"an end that is escaped": {
			`https://github\.com/acme/app\)`,
			[]string{"https://github.com/acme/app)"},
			[]string{"https://github.com/acme/app"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			compiled, err := compilePattern(test.pattern)
			if err != nil {
				t.Fatal(err)
			}
			for _, uri := range test.matches {
				if !compiled.MatchString(uri) {
					t.Errorf("it does not match %q", uri)
				}
			}
			for _, uri := range test.others {
				if compiled.MatchString(uri) {
					t.Errorf("it matches %q", uri)
				}
			}
		})
	}
}

func TestPatternsThatMayMatchAnotherOwnerAreRefused(t *testing.T) {
	const fixed = "it must begin with the fixed text https://HOST/OWNER/"
	for name, test := range map[string]struct{ pattern, want string }{
		"everything":                       {`.*`, fixed},
		"everything in front":              {`.*https://github\.com/acme/app`, fixed},
		"everything, or the owner":         {`.*|https://github\.com/acme/app`, fixed},
		"the owner, or everything":         {`https://github\.com/acme/app|.*`, fixed},
		"the owner, or nothing":            {`https://github\.com/acme/app|`, fixed},
		"an optional owner":                {`(https://github\.com/acme/)?.*`, fixed},
		"a repeated owner":                 {`(https://github\.com/acme/){0,1}.*`, fixed},
		"any host":                         {`https://[^/]+/acme/app`, fixed},
		"any subdomain":                    {`https://.*\.github\.com/acme/app`, fixed},
		"a dot that is not escaped":        {`https://github.com/acme/app`, fixed},
		"any owner":                        {`https://github\.com/[^/]+/app`, fixed},
		"an owner's prefix":                {`https://github\.com/acme.*`, fixed},
		"an owner's prefix, and a segment": {`https://github\.com/acme[^/]*/app`, fixed},
		"two owners":                       {`https://github\.com/(acme|evil)/app`, fixed},
		"two owners with a common prefix":  {`https://github\.com/acme/app|https://github\.com/acme-evil/app`, fixed},
		"an optional last letter":          {`https://github\.com/acmee?/app`, fixed},
		"any case of everything":           {`(?i)https://github\.com/acme/app`, fixed},
		"any case of the owner":            {`https://github\.com/(?i:acme)/app`, fixed},
		"any case of the host":             {`https://(?i)github\.com/acme/app`, fixed},
		"no scheme":                        {`github\.com/acme/app`, fixed},
		"another scheme":                   {`http://github\.com/acme/app`, fixed},
		"an optional s":                    {`https?://github\.com/acme/app`, fixed},
		"no host":                          {`https:///acme/app`, fixed},
		"no owner":                         {`https://github\.com//app`, fixed},
		"an owner without a slash":         {`https://github\.com/acme`, fixed},
		"a segment that goes up":           {`https://github\.com/\.\./acme/app`, fixed},
		"a segment that stays":             {`https://github\.com/\./acme/app`, fixed},
		"a user in the host":               {`https://acme@evil\.example/acme/app`, fixed},
		"a query in the owner":             {`https://github\.com/a\?b/app`, fixed},
		"a line of several":                {`(?m)^.*https://github\.com/acme/app$`, fixed},
		"nothing":                          {``, fixed},
		"a group that ends early": {
			`https://github\.com/acme/app)|(.*`,
			"not a regular expression in RE2's syntax: unexpected )",
		},
		"a group that does not end":          {`https://github\.com/acme/(app`, "not a regular expression"},
		"a look-ahead":                       {`https://github\.com/acme/(?=app)`, "not a regular expression"},
		"a back-reference":                   {`https://github\.com/acme/(a)\1`, "not a regular expression"},
		"a quote without an end":             {`https://github\.com/acme/\Qapp`, `a \Q without \E`},
		"a quote that would swallow the end": {`https://github\.com/acme/app\Q)|(?:.*`, `a \Q without \E`},
		"too many repetitions":               {`https://github\.com/acme/a{1001}`, "not a regular expression"},
		"repetitions of repetitions":         {`https://github\.com/acme/(a{100}){100}`, "not a regular expression"},
		"a large program": {
			`https://github\.com/acme/` + strings.Repeat(`.{1000}`, 100),
			"instructions, and the maximum is 500",
		},
		"a program that is just too large": {
			`https://github\.com/acme/[a-z]{480}`,
			"instructions, and the maximum is 500",
		},
		"a long pattern": {
			`https://github\.com/acme/` + strings.Repeat("a", 1001),
			"and the maximum is 1024",
		},
		"bytes that are not UTF-8": {"https://github\\.com/acme/\xff", "not a regular expression"},
		"nested more deeply than RE2 permits": {
			`https://github\.com/a/` + strings.Repeat("(", 501) + strings.Repeat(")", 501),
			"and the maximum",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := compilePattern(test.pattern)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v, want %q", test.pattern, err, test.want)
			}
		})
	}
}

// FuzzPattern: a pattern that is accepted matches only whole URIs below one owner, and is small.
func FuzzPattern(f *testing.F) {
	for _, pattern := range []string{
		`https://github\.com/acme/.*`, `(?i)https://github\.com/acme/.*`, `https://github\.com/acme/(a|b){2,3}`, `.*`,
		`https://github\.com/acme/a|https://github\.com/acme/b`, `^(?:https://h/o/)x$`, `\Qhttps://h/o/\E`, `https://h/o/)|(`,
	} {
		f.Add(pattern, workflow)
		f.Add(pattern, "https://h/o/x")
	}
	owner := regexp.MustCompile(`\Ahttps://[A-Za-z0-9.:-]+/[^/]+/`)
	f.Fuzz(func(t *testing.T, pattern, uri string) {
		compiled, err := compilePattern(pattern)
		if err != nil {
			return
		}
		if !compiled.MatchString(uri) {
			return
		}
		if !owner.MatchString(uri) {
			t.Errorf("%q matches %q", pattern, uri)
		}
		// Whoever reads the pattern alone must find the same match, as a whole.
		alone := regexp.MustCompile(pattern)
		alone.Longest()
		if at := alone.FindStringIndex(uri); at == nil || at[0] != 0 || at[1] != len(uri) {
			t.Errorf("%q matches %q, but alone only %v of it", pattern, uri, at)
		}
	})
}

// BenchmarkPattern matches patterns of the largest size with the longest URIs, which are as expensive as possible.
func BenchmarkPattern(b *testing.B) {
	const owner = "https://github.com/acme/"
	for name, pattern := range map[string]string{
		"repetitions":  `https://github\.com/acme/(a?){110}a*b`,
		"alternatives": `https://github\.com/acme/(` + strings.Repeat("a*|", 100) + `a)*b`,
		"classes":      `https://github\.com/acme/(.*.*.*.*.*.*.*.*[a-z]{0,150})+b`,
	} {
		b.Run(name, func(b *testing.B) {
			compiled, err := compilePattern(pattern)
			if err != nil {
				b.Fatal(err)
			}
			uri := owner + strings.Repeat("a", maxValue-len(owner))
			for b.Loop() {
				if compiled.MatchString(uri) {
					b.Fatal("it matches")
				}
			}
		})
	}
}
