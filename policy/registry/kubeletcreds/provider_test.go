package kubeletcreds_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/countersign/countersign/policy/registry/kubeletcreds"
	"github.com/countersign/countersign/policy/registry/kubeletcreds/credstest"
)

func TestImagesMatchAsTheKubeletMatchesThem(t *testing.T) {
	for pattern, images := range map[string]map[string]bool{
		"registry.io":         {"registry.io/app": true, "registry.io": true, "other.io/a": false, "x.registry.io/a": false},
		"*.registry.io":       {"a.registry.io/app": true, "a.b.registry.io/app": false, "registry.io/app": false},
		"*.*.registry.io":     {"a.b.registry.io/app": true, "a.registry.io/app": false},
		"app*.k8s.io":         {"app.k8s.io/x": true, "app1.k8s.io/x": true, "k8s.io/x": false},
		"*.k8s.*":             {"app.k8s.io/x": true, "app.k8s.dev/x": true, "app.x.io/x": false},
		"registry.io:8080/p":  {"registry.io:8080/path": true, "registry.io/path": false, "registry.io:8081/path": false},
		"registry.io/team":    {"registry.io/team/app": true, "registry.io/teams/app": true, "registry.io/other": false},
		"*":                   {"localhost/app": true, "registry.io/app": false},
		"[[]registry.io":      {"registry.io/app": false},
		"123456.dkr.ecr.*.io": {"123456.dkr.ecr.eu.io/x": true, "123456.dkr.ecr.eu.west.io/x": false},
	} {
		for image, want := range images {
			if got, err := kubeletcreds.MatchesImage(pattern, image); got != want && err == nil {
				t.Errorf("%s and %s: %v", pattern, image, got)
			}
		}
	}
}

func TestAProviderIsCalledLikeTheKubeletCallsIt(t *testing.T) {
	p := credstest.New(t, "registry.example", credstest.Answer(`"cacheKeyType":"Image"`, "registry.example"))
	username, password, note := providersOf(p).Lookup(t.Context(), "registry.example/team/app")
	if username != "user" || password != "pass" || note != "" {
		t.Errorf("%s:%s, %s", username, password, note)
	}
	var request map[string]string
	if err := json.Unmarshal([]byte(p.Recorded("request")), &request); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"kind": "CredentialProviderRequest", "apiVersion": credstest.Version, "image": "registry.example/team/app",
	}
	if diff := cmp.Diff(want, request); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if got := p.Recorded("arguments"); got != "get credentials of the environment" {
		t.Errorf("arguments and environment: %s", got)
	}
}

func TestAnAnswerIsCachedAsItRequests(t *testing.T) {
	const first = "registry.example/team/app"
	for name, test := range map[string]struct {
		caching, second string
		after           time.Duration
		runs            int
	}{
		"the image":                            {`"cacheKeyType":"Image"`, first, time.Hour, 1},
		"not another image":                    {`"cacheKeyType":"Image"`, "registry.example/team/other", 0, 2},
		"the registry":                         {`"cacheKeyType":"Registry"`, "registry.example/other", time.Hour, 1},
		"not another registry":                 {`"cacheKeyType":"Registry"`, "registry2.example/team/app", 0, 2},
		"all":                                  {`"cacheKeyType":"Global"`, "registry2.example/x", time.Hour, 1},
		"as long as is configured":             {`"cacheKeyType":"Image"`, first, 12*time.Hour - time.Second, 1},
		"not longer":                           {`"cacheKeyType":"Image"`, first, 12*time.Hour + time.Second, 2},
		"before it expires":                    {`"cacheKeyType":"Image","cacheDuration":"1m0s"`, first, 59 * time.Second, 1},
		"after it has expired":                 {`"cacheKeyType":"Image","cacheDuration":"1m0s"`, first, 61 * time.Second, 2},
		"with a duration of zero":              {`"cacheKeyType":"Image","cacheDuration":"0s"`, first, 0, 2},
		"not at all with a time below nothing": {`"cacheKeyType":"Image","cacheDuration":"-5s"`, first, 0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			p := credstest.New(t, "registry*.example", credstest.Answer(test.caching, "registry*.example"))
			synctest.Test(t, func(t *testing.T) {
				providers := providersOf(p)
				for _, image := range []string{first, test.second} {
					if username, _, note := providers.Lookup(t.Context(), image); username != "user" {
						t.Errorf("%s: %s", image, note)
					}
					time.Sleep(test.after)
				}
			})
			if runs := p.Runs(); runs != test.runs {
				t.Errorf("it ran %d times", runs)
			}
		})
	}
}

func TestAChangedConfigurationAppliesToTheNextLookup(t *testing.T) {
	p := credstest.New(t, "registry.example", credstest.Answer(`"cacheKeyType":"Global"`, "registry.example"))
	providers := providersOf(p)
	providers.Lookup(t.Context(), "registry.example/app")
	p.Configure(strings.ReplaceAll(credstest.ProviderConfig("plugin", "registry.example"), "credentials", "others"))
	if username, _, note := providers.Lookup(t.Context(), "registry.example/app"); username != "user" {
		t.Errorf("configured differently: %s", note)
	}
	if p.Runs() != 2 || !strings.HasPrefix(p.Recorded("arguments"), "get others") {
		t.Errorf("it ran %d times, at last with %s", p.Runs(), p.Recorded("arguments"))
	}
}

func TestConcurrentLookupsShareOneCall(t *testing.T) {
	p := credstest.New(t, "registry.example",
		"mkfifo ready; cat ready > /dev/null\n"+
			credstest.Answer(`"cacheKeyType":"Image","cacheDuration":"1h"`, "registry.example"))
	providers := providersOf(p)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if username, _, note := providers.Lookup(t.Context(), "registry.example/app"); username != "user" {
				t.Errorf("%s", note)
			}
		})
	}
	ready := filepath.Join(p.Directory, "ready")
	wait(t, func() bool { return exists(ready) })
	write(t, ready, "go on\n")
	all.Wait()
	if runs := p.Runs(); runs != 1 {
		t.Errorf("it ran %d times", runs)
	}
}

func TestTheNoteOfAProviderWithoutCredentials(t *testing.T) {
	sound := credstest.Answer(`"cacheKeyType":"Image"`, "registry.example")
	for name, test := range map[string]struct{ config, script, want string }{
		"fails":                    {"", "echo pass >&2; exit 3", "plugin failed: exit status 3"},
		"no output":                {"", "exit 0", "plugin failed: its output is not JSON"},
		"other output":             {"", "echo pass", "plugin failed: its output is not JSON"},
		"is of another version":    {"", strings.Replace(sound, "k8s.io/v1", "k8s.io/v1beta1", 1), "is not a Cred"},
		"is of another kind":       {"", strings.Replace(sound, "Response", "Request", 1), "is not a Cred"},
		"has no cache key":         {"", strings.Replace(sound, `"Image"`, `""`, 1), "cacheKeyType is not Image"},
		"has an unknown cache key": {"", strings.Replace(sound, `"Image"`, `"pass"`, 1), "cacheKeyType is not Image"},
		"has no duration": {
			"", credstest.Answer(`"cacheKeyType":"Image","cacheDuration":"pass"`, "x"), "is not a duration",
		},
		"writes without end": {"", "while echo passpasspass; do :; done", "its output is larger than 1048576 bytes"},
		"is for others": {
			"", credstest.Answer(`"cacheKeyType":"Image"`, "registry.example/other"), "plugin has no credentials",
		},
		"does not exist": {credstest.ProviderConfig("absent", "registry.example"), "", "absent failed: fork/exec"},
		"does not match": {credstest.ProviderConfig("plugin", "other.example"), sound, "no credential provider in"},
		"wants a token of the pod": {
			credstest.ProviderConfig("plugin", "registry.example") + "  tokenAttributes: {requireServiceAccount: true}\n", sound,
			"requires a pod's service account token",
		},
		"is in a file that is no YAML": {"\t", sound, "reading the credential providers in"},
		"is in a file of another kind": {"kind: Pod\napiVersion: v1\n", sound, `it is a "Pod" of "v1"`},
	} {
		t.Run(name, func(t *testing.T) {
			p := credstest.New(t, "registry.example", test.script)
			if test.config != "" {
				p.Configure(test.config)
			}
			username, password, note := providersOf(p).Lookup(t.Context(), "registry.example/app")
			if username != "" || password != "" || !strings.Contains(note, test.want) {
				t.Errorf("%s:%s, %q\nlacks %q", username, password, note, test.want)
			}
			if strings.Contains(note, "pass") || strings.Contains(note, "\n") {
				t.Errorf("it tells too much: %q", note)
			}
		})
	}
}

func TestAProviderThatNeedsNoTokenIsCalledWithout(t *testing.T) {
	p := credstest.New(t, "registry.example", credstest.Answer(`"cacheKeyType":"Image"`, "registry.example"))
	p.Configure(credstest.ProviderConfig("plugin", "registry.example") +
		"  tokenAttributes: {requireServiceAccount: false}\n")
	if username, _, note := providersOf(p).Lookup(t.Context(), "registry.example/app"); username != "user" {
		t.Errorf("%s", note)
	}
}

func TestAnotherProviderIsCalledIfOneFails(t *testing.T) {
	p := credstest.New(t, "registry.example", credstest.Answer(`"cacheKeyType":"Image"`, "registry.example"))
	second := strings.SplitAfter(credstest.ProviderConfig("plugin", "registry.example"), "providers:\n")[1]
	p.Configure(credstest.ProviderConfig("absent", "*.example") + second)
	if username, _, note := providersOf(p).Lookup(t.Context(), "registry.example/app"); username != "user" {
		t.Errorf("%s", note)
	}
}

func TestADirectoryOfConfigurationsIsReadInTheOrderOfItsNames(t *testing.T) {
	p := credstest.New(t, "registry.example", credstest.Answer(`"cacheKeyType":"Image"`, "registry.example"))
	directory := filepath.Dir(p.Config)
	write(t, filepath.Join(directory, "a.json"), `{"apiVersion":"kubelet.config.k8s.io/v1",
		"kind":"CredentialProviderConfig","providers":[{"name":"absent","apiVersion":"`+credstest.Version+`",
		"matchImages":["*.example"],"defaultCacheDuration":"0s"}]}`)
	write(t, filepath.Join(directory, "notes.txt"), "no YAML\t")
	providers := kubeletcreds.NewProviders(directory, p.Directory)
	if username, _, note := providers.Lookup(t.Context(), "registry.example/app"); username != "user" {
		t.Errorf("%s", note)
	}
	write(t, filepath.Join(directory, "z.yml"), credstest.ProviderConfig("plugin", "x.example"))
	if _, _, note := providers.Lookup(t.Context(), "registry.example/app"); !strings.Contains(note, "two providers") {
		t.Errorf("%s", note)
	}
}

func TestTheMostSpecificKeyOfAnAnswerIsUsed(t *testing.T) {
	answer := func(keys ...string) string {
		auth := map[string]map[string]string{}
		for i, key := range keys {
			auth[key] = map[string]string{"username": strconv.Itoa(i), "password": "pass"}
		}
		raw, err := json.Marshal(map[string]any{
			"kind": "CredentialProviderResponse", "apiVersion": credstest.Version, "cacheKeyType": "Image", "auth": auth,
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	for name, test := range map[string]struct {
		keys        []string
		image, want string
	}{
		"the path before the host":    {[]string{"r.example", "r.example/team"}, "r.example/team/app", "1"},
		"the host where no path fits": {[]string{"r.example", "r.example/team"}, "r.example/other", "0"},
		"a URL":                       {[]string{"https://r.example"}, "r.example/app", "0"},
		"a URL of the API":            {[]string{"https://r.example/v2/"}, "r.example/app", "0"},
		"a glob":                      {[]string{"*.example"}, "r.example/app", "0"},
		"another port":                {[]string{"r.example:5000"}, "r.example/app", ""},
		"docker's own":                {[]string{"https://index.docker.io/v1/"}, "docker.io/library/x", "0"},
		"docker's own, for others":    {[]string{"https://index.docker.io/v1/"}, "localhost/x", ""},
		"none":                        {nil, "r.example/app", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, _, err := kubeletcreds.ParseProviderAnswer([]byte(answer(test.keys...)), credstest.Version, test.image)
			if err != nil || got != test.want {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
}

func providersOf(p credstest.Plugin) kubeletcreds.Providers {
	return kubeletcreds.NewProviders(p.Config, p.Directory)
}

func write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// wait waits until a condition holds.
func wait(t *testing.T, condition func() bool) {
	t.Helper()
	for !condition() {
		select {
		case <-t.Context().Done():
			t.Fatal("the condition never held")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestInventedNamesDoNotEvictAnswers: a provider for all registries of a cloud is also called for those that a tenant
// invents.
func TestInventedNamesDoNotEvictAnswers(t *testing.T) {
	p := kubeletcreds.NewProviders("config", "directory")
	p.Keep("*")
	p.Keep("registry.example/team/app")
	most := 0
	for i := range 5000 {
		most = max(most, p.Keep("minted-"+strconv.Itoa(i)+".evil.example/app"))
	}
	if !p.Kept("*") || !p.Kept("registry.example/team/app") || !p.Kept("minted-4999.evil.example/app") {
		t.Error("answers are forgotten")
	}
	if most > 1024 {
		t.Errorf("%d answers are cached", most)
	}
}
