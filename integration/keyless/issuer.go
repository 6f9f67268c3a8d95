package keyless

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/countersign/countersign/integration/rig"
	"github.com/countersign/countersign/policy/signature/signaturetest"
)

// audience is the audience of tokens for Fulcio, which is cosign's client ID.
const audience = "sigstore"

// issuer is an OpenID Connect issuer on the loopback address: one for people and one for workflows, with the same key.
// It stands for a real identity provider, and vouches for whatever a test asks for.
type issuer struct {
	url string
	key ed25519.PrivateKey
}

// startIssuer starts an issuer, which runs until the test ends.
func startIssuer(t testing.TB) *issuer {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	rig.OK(t, err)
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	made := &issuer{server.URL, key}
	answer := func(path string, value any) {
		content := rig.Must(json.Marshal(value))(t)
		mux.HandleFunc("GET "+path, func(writer http.ResponseWriter, _ *http.Request) { _, _ = writer.Write(content) })
	}
	for _, url := range []string{made.people(), made.workflows()} {
		answer(strings.TrimPrefix(url, made.url)+"/.well-known/openid-configuration", map[string]any{
			"issuer": url, "jwks_uri": made.url + "/keys", "id_token_signing_alg_values_supported": []string{"EdDSA"},
		})
	}
	answer("/keys", map[string]any{"keys": []any{map[string]string{
		"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "x": base64.RawURLEncoding.EncodeToString(public),
	}}})
	return made
}

// people and workflows return the URLs of the issuers.
func (i *issuer) people() string { return i.url + "/people" }

func (i *issuer) workflows() string { return i.url + "/workflows" }

// person returns a token for a person. A claim names the issuer that Fulcio writes into the certificate, as Dex passes
// on from where a person has logged in.
func (i *issuer) person(t testing.TB, identity signaturetest.Identity) string {
	t.Helper()
	return i.token(t, i.people(), map[string]any{
		"sub": identity.Email, "email": identity.Email, "email_verified": true,
		"federated_claims": map[string]string{"connector_id": identity.Issuer},
	})
}

// workflow returns a token for a workflow, with claims as those of GitHub Actions.
func (i *issuer) workflow(t testing.TB, of signaturetest.Workflow) string {
	t.Helper()
	repository := strings.TrimPrefix(of.Repository, gitHub)
	return i.token(t, i.workflows(), map[string]any{
		"sub": "repo:" + repository + ":ref:" + of.Ref, "repository": repository,
		"repository_owner": strings.TrimPrefix(of.Owner, gitHub), "ref": of.Ref, "event_name": "push",
		"job_workflow_ref": strings.TrimPrefix(of.URI(), gitHub), "runner_environment": "github-hosted",
	})
}

// gitHub begins the URLs of repositories and owners, which claims do not have.
const gitHub = "https://github.com/"

// token signs claims (RFC 7519).
func (i *issuer) token(t testing.TB, by string, claims map[string]any) string {
	t.Helper()
	now := time.Now()
	claims = maps.Clone(claims)
	maps.Copy(claims, map[string]any{
		"iss": by, "aud": audience, "iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
	})
	part := func(value any) string {
		return base64.RawURLEncoding.EncodeToString(rig.Must(json.Marshal(value))(t))
	}
	signed := part(map[string]string{"alg": "EdDSA", "typ": "JWT"}) + "." + part(claims)
	return signed + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(i.key, []byte(signed)))
}
