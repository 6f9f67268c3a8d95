package evidence_test

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
	"github.com/countersign/countersign/policy/registry/kubeletcreds/credstest"
)

func TestProvidersAreAskedWhereTheFileHasNothing(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "team/app", m, signed(1))
	r.spoilBy(basic)
	p := credstest.New(t, "127.0.0.1:"+strings.Split(r.host, ":")[1], credstest.Answer(`"cacheKeyType":"Image"`, r.host))
	file := filepath.Join(t.TempDir(), "config.json")
	got := fetched(t, open(t, reaching(reachedWith(p, file))), r.named(t, "team/app"), m)
	if got.State != policy.Found {
		t.Fatalf("%+v", got)
	}
	if request := p.Recorded("request"); !strings.Contains(request, r.host+`/team/app"`) {
		t.Errorf("asked for %s", request)
	}
	write(t, file, `{"auths":{"`+r.host+`":{"auth":"`+auth("user", "pass")+`"}}}`)
	if got := fetched(t, open(t, reaching(reachedWith(p, file))), r.named(t, "team/app"), m); got.State != policy.Found {
		t.Errorf("with the file: %+v", got)
	}
	if runs := p.Runs(); runs != 1 {
		t.Errorf("the file has credentials, and the provider ran %d times", runs)
	}
}

func TestWhereCredentialsAreMissingItIsSaidWhereToPutThem(t *testing.T) {
	wrong := strings.Replace(credstest.Answer(`"cacheKeyType":"Image"`, "HOST"), `"password":"pass"`, `"password":"x"`, 1)
	for name, test := range map[string]struct{ matches, script, want string }{
		"the provider fails": {
			"HOST", "exit 1",
			"add credentials for HOST to FILE, which does not exist; the credential provider plugin failed: exit status 1",
		},
		"no provider is for it": {"other.example", "exit 1", "no credential provider in CONFIG is for HOST/app"},
		"its credentials are wrong": {
			"HOST", wrong,
			"HOST does not accept the credentials of the credential provider plugin",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t)
			r.spoilBy(bearer(t, false))
			here := strings.NewReplacer("HOST", r.host)
			p := credstest.New(t, here.Replace(test.matches), here.Replace(test.script))
			file := filepath.Join(t.TempDir(), "config.json")
			got := fetched(t, open(t, reaching(reachedWith(p, file))), r.named(t, "app"), manifestOf("image"))
			check(t, got, strings.NewReplacer("HOST", r.host, "FILE", file, "CONFIG", p.Config).Replace(test.want))
			checkSecret(t, got.Detail)
		})
	}
}

func TestAProviderThatHangsIsAFailureAndLeavesNothingBehind(t *testing.T) {
	r := newRegistry(t)
	r.spoilBy(basic)
	p := credstest.New(t, r.host, "mkfifo fifo; cat fifo & echo $! > child; wait")
	got := fetched(t, hasty(t, "", "", reachedWith(p, "")), r.named(t, "app"), manifestOf("image"))
	check(t, got, "the credential provider plugin failed: it did not answer in time")
	pid, err := strconv.Atoi(p.Recorded("child"))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return ended(pid) })
}

// reachedWith configures registries that are reached with a file of credentials and a plugin.
func reachedWith(p credstest.Plugin, file string) registry.Config {
	return registry.Config{
		AuthFile: file, CredentialProviderConfig: p.Config, CredentialProviderDirectory: p.Directory,
	}
}
