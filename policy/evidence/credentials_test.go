package evidence_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/registry"
)

func TestCredentialsAreThoseOfTheFile(t *testing.T) {
	good, wrong := auth("user", "pass"), auth("user", "x")
	for name, test := range map[string]struct {
		// file is the auth file, with HOST for the registry, or empty without a file.
		file  string
		token bool
		want  string
	}{
		"for the host":           {`{"auths":{"HOST":{"auth":"` + good + `"}}}`, false, ""},
		"for the host, as a URL": {`{"auths":{"https://HOST/v1/":{"auth":"` + good + `"}}}`, false, ""},
		"for the repository":     {`{"auths":{"HOST/team/app":{"auth":"` + good + `"}}}`, false, ""},
		"for a part of its path": {
			`{"auths":{"HOST/team":{"auth":"` + good + `"},"HOST":{"auth":"eDp5"}}}`, false,
			"",
		},
		"for the host, for a token": {`{"auths":{"HOST":{"auth":"` + good + `"}}}`, true, ""},
		"an identity token": {
			`{"auths":{"HOST":{"auth":"` + auth("x", "") + `","identitytoken":"identity"}}}`, true,
			"",
		},
		"from a helper":              {`{"credHelpers":{"HOST":"evidencetest"}}`, false, ""},
		"from a helper, for a token": {`{"credHelpers":{"HOST":"evidencetest"}}`, true, ""},
		"from a helper that fails": {
			`{"credHelpers":{"HOST":"evidencefail"}}`, false,
			"docker-credential-evidencefail failed",
		},
		"from a helper that has none": {
			`{"credHelpers":{"HOST":"evidencenone"}}`, false, "add credentials for HOST to FILE, which has none",
		},
		"from a helper that is not there": {
			`{"credHelpers":{"HOST":"evidencemissing"}}`, false, "docker-credential-evidencemissing failed",
		},
		"none, because there is no file": {
			"", false,
			"401 Unauthorized; add credentials for HOST to FILE, which does not exist",
		},
		"none, for a token": {"", true, "401 Unauthorized; add credentials for"},
		"for another repository": {
			`{"auths":{"HOST/team/other":{"auth":"` + good + `"}}}`, false,
			"add credentials for HOST to FILE, which has none",
		},
		"for another host": {
			`{"auths":{"x.example":{"auth":"` + good + `"}}}`, false,
			"add credentials for HOST to FILE",
		},
		"that are wrong": {
			`{"auths":{"HOST":{"auth":"` + wrong + `"}}}`, false,
			"HOST does not accept the credentials of the entry \"HOST\" of FILE",
		},
		"the next of several where one is wrong": {
			`{"auths":{"HOST/team/app":{"auth":"` + wrong + `"},"HOST/team":{"auth":"eDp5"},"HOST":{"auth":"` + good + `"}}}`,
			false, "",
		},
		"the next of several where one is wrong, for a token": {
			`{"auths":{"HOST/team/app":{"auth":"` + wrong + `"},"HOST":{"auth":"` + good + `"}}}`, true, "",
		},
		"several that are wrong": {
			`{"auths":{"HOST/team/app":{"auth":"` + wrong + `"},"HOST":{"auth":"eDp5"}}}`, false,
			"HOST does not accept the credentials of the entry \"HOST/team/app\" of FILE, nor those of " +
				"the entry \"HOST\" of FILE",
		},
		"that are not base64": {
			`{"auths":{"HOST":{"auth":"!"}}}`, false,
			"reading credentials in FILE: the entry \"HOST\" cannot be used: its auth is not base64",
		},
		"in a file that is no JSON": {
			`{"auths":`, false,
			"reading credentials in FILE: it is not JSON: byte",
		},
		"in a file of another form": {
			`[]`, false,
			"reading credentials in FILE: it is not a JSON object",
		},
		"in a file that is empty, in spaces": {
			"  \n", false,
			"reading credentials in FILE: it is not JSON: byte",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", helpers(t)+":"+os.Getenv("PATH"))
			r := newRegistry(t)
			m := manifestOf("image")
			r.sign(t, "team/app", m, signed(1))
			r.spoilBy(basic)
			if test.token {
				r.spoilBy(bearer(t, false))
			}
			file := filepath.Join(t.TempDir(), "config.json")
			if test.file != "" {
				write(t, file, strings.ReplaceAll(test.file, "HOST", r.host))
			}
			got := fetched(t, open(t, reaching(registry.Config{AuthFile: file})), r.named(t, "team/app"), m)
			if test.want != "" {
				check(t, got, strings.NewReplacer("HOST", r.host, "FILE", file).Replace(test.want))
			} else if got.State != policy.Found {
				t.Errorf("%+v", got)
			}
			checkSecret(t, got.Detail)
		})
	}
}

func TestAHelperThatHangsIsAFailureAndLeavesNothingBehind(t *testing.T) {
	directory := helpers(t)
	t.Setenv("PATH", directory+":"+os.Getenv("PATH"))
	r := newRegistry(t)
	r.spoilBy(basic)
	file := filepath.Join(t.TempDir(), "config.json")
	write(t, file, `{"credHelpers":{"`+r.host+`":"evidencehang"}}`)
	keeper := hasty(t, "", "", registry.Config{AuthFile: file})
	got := fetched(t, keeper, r.named(t, "app"), manifestOf("image"))
	check(t, got, "docker-credential-evidencehang failed")
	child, err := os.ReadFile(filepath.Join(directory, "child"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(child)))
	if err != nil {
		t.Fatal(err)
	}
	wait(t, func() bool { return ended(pid) })
}

// wait waits until something is so.
func wait(t *testing.T, so func() bool) {
	t.Helper()
	for !so() {
		select {
		case <-t.Context().Done():
			t.Fatal("it never came to be so")
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// ended reports whether a process has ended, even if its parent has not waited for it yet.
func ended(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") Z ")
}

func TestATokenForAnybodyNeedsNoCredentials(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	r.spoilBy(bearer(t, true))
	if got := fetched(t, open(t, evidence.Config{}), r.named(t, "app"), m); got.State != policy.Found {
		t.Errorf("%+v", got)
	}
}

func TestCredentialsAreReadEachTime(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	r.spoilBy(basic)
	file := filepath.Join(t.TempDir(), "config.json")
	keeper, named := open(t, reaching(registry.Config{AuthFile: file})), r.named(t, "app")
	check(t, fetched(t, keeper, named, m), "does not exist")
	write(t, file, `{"auths":{"`+r.host+`":{"auth":"`+auth("user", "pass")+`"}}}`)
	if got := fetched(t, keeper, named, m); got.State != policy.Found {
		t.Errorf("%+v", got)
	}
}

// The files that podman and skopeo read in addition are not read.
func TestNoOtherFileIsRead(t *testing.T) {
	home := t.TempDir()
	r := newRegistry(t)
	good := `{"auths":{"` + r.host + `":{"auth":"` + auth("user", "pass") + `"}}}`
	for _, path := range []string{".docker/config.json", ".config/containers/auth.json", "run/containers/auth.json"} {
		write(t, filepath.Join(home, path), good)
	}
	write(t, filepath.Join(home, ".config/containers/registries.conf"), "credential-helpers = [\"evidencetest\"]\n")
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(home, ".config"))
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(home, "run"))
	t.Setenv("DOCKER_CONFIG", filepath.Join(home, ".docker"))
	t.Setenv("CONTAINERS_REGISTRIES_CONF", filepath.Join(home, ".config/containers/registries.conf"))
	t.Setenv("CONTAINERS_REGISTRIES_CONF_OVERRIDE", filepath.Join(home, ".config/containers/registries.conf"))
	t.Setenv("PATH", helpers(t)+":"+os.Getenv("PATH"))
	r.spoilBy(basic)
	for _, file := range []string{"", filepath.Join(home, "none.json")} {
		got := fetched(t, open(t, reaching(registry.Config{AuthFile: file})), r.named(t, "app"), manifestOf("image"))
		check(t, got, "401 Unauthorized")
	}
}

// Credentials for one host are not for another, which it redirects to.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	r := newRegistry(t)
	m := manifestOf("image")
	r.sign(t, "app", m, signed(1))
	told := make(chan string, 100)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told <- r.Header.Get("Authorization")
		challenge(`Basic realm="other"`)(w, r)
	}))
	t.Cleanup(other.Close)
	r.spoilBy(func(sound http.Handler) http.Handler {
		return basic(onlyFor("/blobs/", redirect(strings.Replace(other.URL, "127.0.0.1", "localhost", 1)))(sound))
	})
	file := filepath.Join(t.TempDir(), "config.json")
	write(t, file, `{"auths":{"`+r.host+`":{"auth":"`+auth("user", "pass")+`"}}}`)
	got := fetched(t, open(t, reaching(registry.Config{AuthFile: file})), r.named(t, "app"), m)
	check(t, got, "401 Unauthorized; add credentials for localhost:")
	close(told)
	if len(told) == 0 {
		t.Error("the other host was not asked")
	}
	for header := range told {
		if header != "" {
			t.Errorf("it received %q", header)
		}
	}
}

func TestWhoIsNotLetInAsksOnce(t *testing.T) {
	r := newRegistry(t)
	r.spoilBy(always(http.StatusForbidden))
	check(t, fetched(t, open(t, evidence.Config{}), r.named(t, "app"), manifestOf("image")), "403 Forbidden")
	if asked := strings.Join(r.asked(), " "); strings.Contains(asked, "/referrers/") {
		t.Errorf("asked %s", asked)
	}
}
