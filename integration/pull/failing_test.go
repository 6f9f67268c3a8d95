package pull_test

import (
	"net/http"
	"strings"
	"testing"
)

// failing are registries that serve images but fail for requests for signatures.
func (w *workshop) failing(t *testing.T) {
	t.Parallel()
	l := w.newLab(t, w.inProcess(), settings{"pull": {"timeout": "2s"}})
	l.Start(t)
	base := l.signed(t, "shop/base:v1", bundle)
	l.Pull(t, base)
	pod := l.runsAtOnce(t, prod, base)
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		cause  string // In the audit record of the decision.
	}{
		"it resets the connection":      {reset, "connection was closed"},
		"it denies access":              {status(http.StatusForbidden), "403"},
		"it wants other credentials":    {status(http.StatusUnauthorized, "WWW-Authenticate", "Basic realm=x"), "401"},
		"it is asked too often":         {status(http.StatusTooManyRequests, "Retry-After", "2"), "429"},
		"it has an error":               {status(http.StatusInternalServerError), "500"},
		"it redirects in a circle":      {redirect("{path}"), "redirect"},
		"it redirects to a local link":  {redirect("http://169.254.169.254/latest/meta-data"), "169.254.169.254"},
		"it answers with something big": {tooBig, "2147483648 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := "shop/" + strings.ReplaceAll(name, " ", "-")
			image := l.signed(t, repository+":v1", bundle)
			repair := l.faults.answer(t, test.answer, evidenceOf(repository)...)
			l.Pull(t, image)
			if detail := l.Refused(t, prod, image, "unavailable").Detail; !strings.Contains(detail, test.cause) {
				t.Errorf("the record does not name the cause, %s: %s", test.cause, detail)
			}
			repair()
			l.becomesCreated(t, pod, image)
		})
	}
}

// tooBig is a response that is larger than any list of signatures may be.
func tooBig(writer http.ResponseWriter, _ *http.Request) {
	writer.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
	writer.Header().Set("Content-Length", "2147483648")
	writer.WriteHeader(http.StatusOK)
	block := make([]byte, 64<<10)
	for range 32 << 10 {
		if _, err := writer.Write(block); err != nil {
			return
		}
	}
}
