package evidence_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
)

func TestProvidersAreAskedWhereTheFileHasNothing(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "team/app", m, signed(1))
	r.spoilBy(basic)
	p := newPlugin(t, "127.0.0.1:"+strings.Split(r.host, ":")[1], says(`"cacheKeyType":"Image"`, r.host))
	file := filepath.Join(t.TempDir(), "config.json")
	got := fetched(t, open(t, reaching(p.registries(file))), r.named(t, "team/app"), m)
	if got.State != policy.Found {
		t.Fatalf("%+v", got)
	}
	if request := p.noted("request"); !strings.Contains(request, r.host+`/team/app"`) {
		t.Errorf("asked for %s", request)
	}
	write(t, file, `{"auths":{"`+r.host+`":{"auth":"`+auth("user", "pass")+`"}}}`)
	if got := fetched(t, open(t, reaching(p.registries(file))), r.named(t, "team/app"), m); got.State != policy.Found {
		t.Errorf("with the file: %+v", got)
	}
	if runs := p.runs(); runs != 1 {
		t.Errorf("the file has credentials, and the provider ran %d times", runs)
	}
}

func TestWhereCredentialsAreMissingItIsSaidWhereToPutThem(t *testing.T) {
	wrong := strings.Replace(says(`"cacheKeyType":"Image"`, "HOST"), `"password":"pass"`, `"password":"x"`, 1)
	for name, test := range map[string]struct{ matches, script, want string }{
		"the provider fails": {
			"HOST", "exit 1",
			"put credentials for HOST into FILE, which does not exist; the credential provider plugin failed: exit status 1",
		},
		"no provider is for it": {"other.example", "exit 1", "no credential provider in CONFIG is for HOST/app"},
		"its credentials are wrong": {
			"HOST", wrong,
			"the credentials of the credential provider plugin do not suffice for HOST",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.spoilBy(bearer(t, false))
			p := newPlugin(t, strings.ReplaceAll(test.matches, "HOST", r.host), strings.ReplaceAll(test.script, "HOST", r.host))
			file := filepath.Join(t.TempDir(), "config.json")
			got := fetched(t, open(t, reaching(p.registries(file))), r.named(t, "app"), manifestOf("image"))
			check(t, got, strings.NewReplacer("HOST", r.host, "FILE", file, "CONFIG", p.config).Replace(test.want))
			checkSecret(t, got.Detail)
		})
	}
}

func TestAProviderThatHangsIsAFailureAndLeavesNothingBehind(t *testing.T) {
	r := newRegistry(t)
	r.spoilBy(basic)
	p := newPlugin(t, r.host, "mkfifo fifo; cat fifo & echo $! > child; wait")
	got := fetched(t, hasty(t, reaching(p.registries(""))), r.named(t, "app"), manifestOf("image"))
	check(t, got, "the credential provider plugin failed: it did not answer in time")
	pid, err := strconv.Atoi(p.noted("child"))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return ended(pid) })
}
