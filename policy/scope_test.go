package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy"
)

const someDigest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func TestNormalizeCompletesAsContainerdDoes(t *testing.T) {
	cases := map[string]struct{ in, want string }{
		"a familiar name":               {"nginx", "docker.io/library/nginx:latest"},
		"a familiar name with a tag":    {"nginx:1.29", "docker.io/library/nginx:1.29"},
		"a familiar name with a digest": {"nginx@" + someDigest, "docker.io/library/nginx@" + someDigest},
		"a user's repository":           {"user/app", "docker.io/user/app:latest"},
		"the hub under its old name":    {"index.docker.io/nginx", "docker.io/library/nginx:latest"},
		"a host and no tag":             {"registry.example/app", "registry.example/app:latest"},
		"a host with a port and no tag": {"registry.example:5000/app", "registry.example:5000/app:latest"},
		"a host with a port and a tag":  {"registry.example:5000/app:v1", "registry.example:5000/app:v1"},
		"localhost is a host":           {"localhost/app", "localhost/app:latest"},
		"a host by address":             {"[::1]:5000/app", "[::1]:5000/app:latest"},
		"a tag in addition to a digest is dropped": {
			"registry.example:5000/app:v1@" + someDigest, "registry.example:5000/app@" + someDigest,
		},
		"a repository called sha256":        {"sha256:latest", "docker.io/library/sha256:latest"},
		"a name with a colon, no slash":     {"registry.example:5000", "docker.io/library/registry.example:5000"},
		"nothing":                           {"", ""},
		"a space":                           {"app v1", ""},
		"a newline at the end":              {"registry.example/app:v1\n", ""},
		"upper case in the repository":      {"registry.example/App", ""},
		"64 digits, which are not a name":   {strings.Repeat("a", 64), ""},
		"a digest cut short":                {"app@sha256:e3b0", ""},
		"a digest of an unknown algorithm":  {"app@md5:d41d8cd98f00b204e9800998ecf8427e", ""},
		"two digests":                       {"app@" + someDigest + "@" + someDigest, ""},
		"a transport":                       {"docker://registry.example/app", ""},
		"a path that climbs":                {"registry.example/../app", ""},
		"a tag of 129 characters":           {"app:" + strings.Repeat("a", 129), ""},
		"a repository of 300 characters":    {"registry.example/" + strings.Repeat("a", 300), ""},
		"an image ID that lost its hex":     {"sha256:", ""},
		"a byte that is not UTF-8":          {"app\xff", ""},
		"a digest in upper case hex digits": {"app@sha256:" + strings.ToUpper(someDigest[7:]), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := policy.Normalize(c.in)
			if c.want == "" {
				if err == nil {
					t.Fatalf("Normalize(%q) = %s, want an error", c.in, got)
				}
				return
			}
			if err != nil || got.String() != c.want {
				t.Fatalf("Normalize(%q) = %v, %v, want %s", c.in, got, err, c.want)
			}
		})
	}
}

func FuzzNormalizeTwiceIsOnce(f *testing.F) {
	for _, seed := range []string{
		"nginx", "a/b:c", "h:5000/a@" + someDigest, "h/a:t@" + someDigest, "[::1]:5000/a", "sha256:ab12", "\x00", "a:b:c",
		"docker.io/library/" + strings.Repeat("a", 64), "EXAMPLE.com/a", "xn--n3h.com/a", "localhost:1/a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		once, err := policy.Normalize(s)
		if err != nil {
			return
		}
		twice, err := policy.Normalize(once.String())
		if err != nil || twice.String() != once.String() {
			t.Errorf("Normalize(%q) = %s, and again: %v, %v", s, once, twice, err)
		}
		if scope, list := document("d", acceptAnything()).Select(once); scope != "" || len(list) != 1 {
			t.Errorf("Select(%s) = %q, %v of a document without scopes", once, scope, list)
		}
	})
}

func TestSelectUsesOnlyTheMostSpecificScope(t *testing.T) {
	const name = "registry.sub.example:5000/team/app"
	pinned := name + "@" + someDigest
	cases := map[string]struct {
		reference string
		scopes    []string
		want      string
	}{
		"the exact reference":                 {name + ":v1", []string{"", name, name + ":v1"}, name + ":v1"},
		"another tag is another scope":        {name + ":v1", []string{name + ":v2", name}, name},
		"the exact digest":                    {pinned, []string{pinned, name}, pinned},
		"a digest does not match a tag":       {pinned, []string{name + ":latest", name + ":v1", ""}, ""},
		"a tag does not match a digest":       {name + ":v1", []string{pinned, ""}, ""},
		"the repository before the namespace": {name + ":v1", []string{name, "registry.sub.example:5000/team"}, name},
		"the namespace before the host": {
			name, []string{"registry.sub.example:5000/team", "registry.sub.example:5000"}, "registry.sub.example:5000/team",
		},
		"the host before a wildcard": {
			name, []string{"*.sub.example", "registry.sub.example:5000"}, "registry.sub.example:5000",
		},
		"a host without the port is another":     {name, []string{"registry.sub.example", "*.example"}, "*.example"},
		"a host with another port is another":    {name, []string{"registry.sub.example:5001", ""}, ""},
		"the narrower wildcard":                  {name, []string{"*.example", "*.sub.example"}, "*.sub.example"},
		"a wildcard stands for several labels":   {name, []string{"*.example"}, "*.example"},
		"a wildcard with a port matches nothing": {name, []string{"*.example:5000", ""}, ""},
		"a wildcard is not the domain itself":    {"sub.example/app", []string{"*.sub.example", ""}, ""},
		"a wildcard for everything is invalid":   {name, []string{"*", "*.", ""}, ""},
		"a wildcard with a path is invalid":      {name, []string{"*.example/team", ""}, ""},
		"half a component is not a namespace": {
			name, []string{"registry.sub.example:5000/te", name + "lication", ""}, "",
		},
		"a trailing slash is another string":  {name, []string{"registry.sub.example:5000/team/", ""}, ""},
		"a host of one label has no wildcard": {"localhost:5000/app", []string{"*.localhost", ""}, ""},
		"a familiar name is completed in the request": {
			"nginx", []string{"nginx", "docker.io/library/nginx"}, "docker.io/library/nginx",
		},
		"the transport's default":                {name, []string{"", "other.example"}, ""},
		"an empty scope that matches still wins": {name, []string{"empty:" + name, ""}, name},
	}
	for title, c := range cases {
		t.Run(title, func(t *testing.T) {
			d := document("d", signedBy("the document's default"))
			d.Scopes = make(map[string][]*policy.Requirement)
			for _, scope := range c.scopes {
				if rest, empty := strings.CutPrefix(scope, "empty:"); empty {
					d.Scopes[rest] = nil
					continue
				}
				d.Scopes[scope] = []*policy.Requirement{signedBy("scope " + scope)}
			}
			scope, list := d.Select(normalized(t, c.reference))
			if scope != c.want {
				t.Errorf("Select(%s) among %q = %q, want %q", c.reference, c.scopes, scope, c.want)
			}
			if diff := cmp.Diff(d.Scopes[c.want], list); diff != "" {
				t.Errorf("requirements (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSelectFallsBackToTheDocumentsDefault(t *testing.T) {
	d := document("d", signedBy("default"))
	d.Scopes = map[string][]*policy.Requirement{"other.example": {acceptAnything()}}
	scope, list := d.Select(normalized(t, tagged))
	if diff := cmp.Diff(d.Default, list); scope != "" || diff != "" {
		t.Errorf("Select = %q, (-want +got):\n%s", scope, diff)
	}
}
