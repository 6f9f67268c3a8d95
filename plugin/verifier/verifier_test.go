package verifier_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/plugin/verifier"
)

const (
	reference = "registry.example/app:v1"
	manifest  = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	mediaType = "application/vnd.oci.descriptor.v1+json"
	image     = `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + manifest + `","size":1234}`
)

// daemon serves a handler at a socket until the test ends.
func daemon(t testing.TB, handler http.Handler) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	listener, err := socket.Listen(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- socket.Serve(ctx, listener, handler) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return path
}

// impatient is a configuration with a short timeout.
const impatient = "[listen]\nsocket = %q\n[pull]\ntimeout = \"200ms\"\non_daemon_unavailable = %q\n"

// configure writes a configuration file.
func configure(tb testing.TB, format string, arguments ...any) (path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "config.toml")
	if err := os.WriteFile(path, fmt.Appendf(nil, format, arguments...), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// run runs the verifier as containerd does, and checks what every answer must have.
func run(t *testing.T, config string, stdin io.Reader, arguments ...string) (status int, line string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	always := []string{"countersign-verifier", "-config", config}
	status = verifier.Run(append(always, arguments...), stdin, &stdout, &stderr)
	line = stdout.String()
	if status != verifier.Allow && !strings.HasPrefix(line, "SignatureValidationFailed: ") {
		t.Errorf("a refusal does not begin with SignatureValidationFailed: %s", line)
	}
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, ")\n") || utf8.RuneCountInString(line) > 300 {
		t.Errorf("not one line of fewer than 300 characters with a reason at its end: %q", line)
	}
	if text := stderr.String(); text != "" {
		t.Logf("stderr: %s", text)
	}
	return status, strings.TrimSuffix(line, "\n")
}

// asks returns the arguments that containerd passes.
func asks() []string {
	return []string{"-name", reference, "-digest", manifest, "-stdin-media-type", mediaType}
}

func TestTheDaemonsAnswerIsContainerds(t *testing.T) {
	refusal := socket.Refusal(reference, "no policy on this node admits it", "rejected")
	admission := socket.Admission(reference, "a policy on this node may admit it", "accepted")
	for name, test := range map[string]struct {
		answer socket.PullAnswer
		status int
	}{
		"admitted": {socket.PullAnswer{Decision: socket.Admit, Message: admission}, verifier.Allow},
		"refused":  {socket.PullAnswer{Decision: socket.Refuse, Message: refusal}, verifier.Block},
	} {
		t.Run(name, func(t *testing.T) {
			var asked socket.PullRequest
			handler := socket.Endpoint(func(_ context.Context, r socket.PullRequest) (socket.PullAnswer, error) {
				asked = r
				return test.answer, nil
			})
			path := daemon(t, handler)
			// The daemon's answer is used for any value of on_daemon_unavailable.
			for _, without := range []string{"deny", "allow"} {
				config := configure(t, "[listen]\nsocket = %q\n[pull]\non_daemon_unavailable = %q\n", path, without)
				status, line := run(t, config, strings.NewReader(image), asks()...)
				if status != test.status || line != test.answer.Message {
					t.Errorf("exit status %d: %s; want %d: %s", status, line, test.status, test.answer.Message)
				}
			}
			within := asked.Within
			asked.Within = 0
			want := socket.PullRequest{
				Name: reference, Digest: manifest, MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1234,
			}
			if asked != want || within <= 0 || within > 8000 {
				t.Errorf("asked %+v within %d ms, want %+v within 8 s", asked, within, want)
			}
		})
	}
}

func TestWithoutTheDaemonTheOperatorDecides(t *testing.T) {
	answering := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	hanging := func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	const half = `{"decision":"admit","message":`
	absent := filepath.Join(t.TempDir(), "absent")
	for name, path := range map[string]string{
		"no socket":                 absent,
		"a file in place of it":     configure(t, ""),
		"a daemon that hangs":       daemon(t, http.HandlerFunc(hanging)),
		"another program":           daemon(t, http.NotFoundHandler()),
		"a fault of the daemon":     daemon(t, answering(500, `{"error":"x"}`)),
		"garbage":                   daemon(t, answering(200, "<html>")),
		"half an answer":            daemon(t, answering(200, half)),
		"no decision":               daemon(t, answering(200, "{}")),
		"a refusal in other words":  daemon(t, answering(200, `{"decision":"refuse"}`)),
		"an admission of two lines": daemon(t, answering(200, half+`"a\nb"}`)),
	} {
		t.Run(name, func(t *testing.T) {
			for without, want := range map[string]int{"deny": verifier.Block, "allow": verifier.Allow} {
				config := configure(t, impatient, path, without)
				status, line := run(t, config, strings.NewReader(image), asks()...)
				if status != want || !strings.Contains(line, reference) || !strings.HasSuffix(line, "(unavailable)") {
					t.Errorf("%s: exit status %d: %s; want %d", without, status, line, want)
				}
			}
		})
	}
}

// TestAnInvalidRequestIsRefused: for any value of on_daemon_unavailable, because the daemon was not called.
func TestAnInvalidRequestIsRefused(t *testing.T) {
	never := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the daemon is asked")
		w.WriteHeader(http.StatusTeapot)
	})
	config := configure(t, impatient, daemon(t, never), "allow")
	for name, test := range map[string]struct {
		config    string
		stdin     string
		arguments []string
		want      string
	}{
		"no arguments":          {config, image, nil, "(bad-request)"},
		"an extra argument":     {config, image, append(asks(), "more"), "(bad-request)"},
		"an unknown flag":       {config, image, append(asks(), "-namespace", "prod"), "(bad-request)"},
		"another media type":    {config, image, append(asks(), "-stdin-media-type", "text/plain"), "(bad-request)"},
		"no digest":             {config, image, append(asks(), "-digest", ""), "(bad-request)"},
		"another digest":        {config, image, append(asks(), "-digest", "sha256:00"), "(bad-request)"},
		"nothing on stdin":      {config, "", asks(), "(bad-request)"},
		"no descriptor":         {config, `["x"]`, asks(), "(bad-request)"},
		"two descriptors":       {config, image + image, asks(), "(bad-request)"},
		"one without a type":    {config, `{"digest":"` + manifest + `","size":1}`, asks(), "(bad-request)"},
		"one without a digest":  {config, `{"mediaType":"x","size":1}`, asks(), "(bad-request)"},
		"one of negative size":  {config, strings.Replace(image, "1234", "-1", 1), asks(), "(bad-request)"},
		"far too much on stdin": {config, image + strings.Repeat(" ", 4<<20), asks(), "(bad-request)"},
		"no configuration":      {filepath.Join(t.TempDir(), "absent"), image, asks(), "(internal)"},
		"one not understood":    {configure(t, "[pull]\non_daemon_unavailable = allow\n"), image, asks(), "(internal)"},
	} {
		t.Run(name, func(t *testing.T) {
			status, line := run(t, test.config, strings.NewReader(test.stdin), test.arguments...)
			if status != verifier.Block || !strings.Contains(line, test.want) || strings.Contains(line, t.TempDir()) {
				t.Errorf("exit status %d: %s; want %d with %s", status, line, verifier.Block, test.want)
			}
		})
	}
}

func TestAStdinThatIsNeverClosedDoesNotBlock(t *testing.T) {
	config := configure(t, "[pull]\non_daemon_unavailable = \"allow\"\ntimeout = \"100ms\"\n")
	stdin, open := io.Pipe()
	defer open.Close()
	if status, line := run(t, config, stdin, asks()...); status != verifier.Block {
		t.Errorf("exit status %d: %s", status, line)
	}
}

// FuzzDescriptor: the daemon is asked about the image that -digest names, or not at all.
func FuzzDescriptor(f *testing.F) {
	var asked []socket.PullRequest
	path := daemon(f, socket.Endpoint(func(_ context.Context, r socket.PullRequest) (socket.PullAnswer, error) {
		asked = append(asked, r)
		return socket.PullAnswer{Decision: socket.Admit, Message: "x (accepted)"}, nil
	}))
	config := configure(f, "[listen]\nsocket = %q\n", path)
	f.Add([]byte(image))
	f.Add([]byte(`{"digest":"` + manifest + `","Digest":"sha256:00","mediaType":"x"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, stdin []byte) {
		asked = nil
		status, line := run(t, config, bytes.NewReader(stdin), asks()...)
		if status == verifier.Allow && (len(asked) != 1 || asked[0].Digest != manifest) {
			t.Errorf("allowed without a request for it: %s, %+v", line, asked)
		}
	})
}

// FuzzAnswer: an image is admitted only if the daemon's answer is valid and admits it.
func FuzzAnswer(f *testing.F) {
	var body []byte
	path := daemon(f, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	config := configure(f, "[listen]\nsocket = %q\n", path)
	f.Add([]byte(`{"decision":"admit","message":"x (accepted)"}`))
	f.Add([]byte(`{"decision":"refuse","message":"SignatureValidationFailed: x (rejected)"}`))
	f.Add([]byte(`{"decision":"admit","message":"\n"}`))
	f.Add([]byte(`{"decision":"admit"}{}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		body = answer
		var stdout, stderr bytes.Buffer
		arguments := append([]string{"countersign-verifier", "-config", config}, asks()...)
		status := verifier.Run(arguments, strings.NewReader(image), &stdout, &stderr)
		var said socket.PullAnswer
		whole := len(answer) < socket.MaxMessage && json.Unmarshal(answer, &said) == nil && said.Check() == nil
		if admitted := whole && said.Decision == socket.Admit; (status == verifier.Allow) != admitted {
			t.Errorf("exit status %d: %s", status, &stdout)
		}
		if strings.Count(stdout.String(), "\n") != 1 || utf8.RuneCountInString(stdout.String()) > 300 {
			t.Errorf("not one short line: %q", &stdout)
		}
	})
}
