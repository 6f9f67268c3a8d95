package node

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/subtle"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// tokenService is the name of the registry and of the token server in tokens.
const tokenService = "registry.countersign.test"

// tokenServer issues tokens of any requested scope to clients with the password, by the protocol in distribution's
// docs/spec/auth/token. The tokens are JSON web tokens signed with Ed25519, which distribution verifies.
type tokenServer struct {
	realm              string
	username, password string
	// identity is exchanged for tokens, like the password.
	identity string
	key      ed25519.PrivateKey
	server   *http.Server
	done     chan error
}

// startTokenServer starts a token server. It uses TLS if there is a certificate.
func startTokenServer(
	ctx context.Context, username, password string, certificate tls.Certificate,
) (*tokenServer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("starting a token server: %w", err)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting a token server: %w", err)
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return nil, fmt.Errorf("starting a token server: %w", err)
	}
	scheme := "http://"
	if certificate.Certificate != nil {
		scheme, listener = "https://", listenTLS(listener, certificate)
	}
	s := &tokenServer{
		realm: scheme + net.JoinHostPort("localhost", port) + "/token", username: username, password: password,
		identity: rand.Text(), key: key, done: make(chan error, 1),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", s.give)
	mux.HandleFunc("POST /token", s.exchange)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { s.done <- s.server.Serve(listener) }()
	return s, nil
}

func (s *tokenServer) close() error {
	err := s.server.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// grant is what a token allows.
type grant struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// give answers a request with the password.
func (s *tokenServer) give(writer http.ResponseWriter, request *http.Request) {
	name, word, _ := request.BasicAuth()
	if subtle.ConstantTimeCompare([]byte(name+":"+word), []byte(s.username+":"+s.password)) != 1 {
		http.Error(writer, unauthorized, http.StatusUnauthorized)
		return
	}
	s.answer(writer, "token", request.URL.Query()["scope"])
}

// exchange answers a request with the identity token, by distribution's docs/spec/auth/oauth. Clients that try it with
// a password fall back to GET.
func (s *tokenServer) exchange(writer http.ResponseWriter, request *http.Request) {
	if request.PostFormValue("grant_type") != "refresh_token" {
		http.Error(writer, "only refresh tokens are exchanged", http.StatusMethodNotAllowed)
		return
	}
	if subtle.ConstantTimeCompare([]byte(request.PostFormValue("refresh_token")), []byte(s.identity)) != 1 {
		http.Error(writer, unauthorized, http.StatusUnauthorized)
		return
	}
	s.answer(writer, "access_token", []string{request.PostFormValue("scope")})
}

const unauthorized = `{"errors":[{"code":"UNAUTHORIZED"}]}`

// answer answers with a token for scopes.
func (s *tokenServer) answer(writer http.ResponseWriter, field string, requested []string) {
	grants := []grant{}
	for _, scopes := range requested {
		for scope := range strings.FieldsSeq(scopes) {
			parts := strings.Split(scope, ":")
			if len(parts) == 3 {
				grants = append(grants, grant{parts[0], parts[1], strings.Split(parts[2], ",")})
			}
		}
	}
	token, err := s.sign(s.username, grants)
	if err != nil {
		http.Error(writer, err.Error(), http.StatusInternalServerError)
		return
	}
	writer.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(writer).Encode(map[string]any{field: token, "expires_in": 300})
}

// IdentityToken returns what the token server exchanges for tokens. The registry must be one with tokens.
func (r *Registry) IdentityToken() string { return r.access.tokens.identity }

// PullToken returns a token to pull from a repository. The registry must be one with tokens.
func (r *Registry) PullToken(repository string) (string, error) {
	return r.access.tokens.sign(r.config.Username, []grant{{"repository", repository, []string{"pull"}}})
}

// sign makes a token: RFC 7519, in the compact form of RFC 7515.
func (s *tokenServer) sign(subject string, grants []grant) (string, error) {
	now := time.Now()
	header, err := json.Marshal(map[string]string{"typ": "JWT", "alg": "EdDSA", "kid": tokenService})
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	claims, err := json.Marshal(map[string]any{
		"iss": tokenService, "aud": tokenService, "sub": subject, "jti": rand.Text(), "access": grants,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return "", fmt.Errorf("making a token: %w", err)
	}
	signed := encode(header) + "." + encode(claims)
	return signed + "." + encode(ed25519.Sign(s.key, []byte(signed))), nil
}

// keys is the public key as distribution reads it: a JSON web key set, RFC 7517 and RFC 8037.
func (s *tokenServer) keys() []byte {
	public := s.key.Public().(ed25519.PublicKey)
	return []byte(fmt.Sprintf(
		`{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": %q, "x": %q}]}`, tokenService, encode(public)))
}

// require protects a registry in this process. It accepts a token of any scope, and refers other clients to the token
// server. distribution does verify the scope of a token.
func (s *tokenServer) require(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		token, found := strings.CutPrefix(request.Header.Get("Authorization"), "Bearer ")
		if !found || !s.signed(token) {
			challenge := fmt.Sprintf("Bearer realm=%q,service=%q", s.realm, tokenService)
			if scope := wanted(request); scope != "" {
				challenge += fmt.Sprintf(",scope=%q", scope)
			}
			writer.Header().Set("WWW-Authenticate", challenge)
			http.Error(writer, unauthorized, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(writer, request)
	})
}

func (s *tokenServer) signed(token string) bool {
	at := strings.LastIndexByte(token, '.')
	if at < 0 {
		return false
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[at+1:])
	return err == nil && ed25519.Verify(s.key.Public().(ed25519.PublicKey), []byte(token[:at]), signature)
}

// wanted is the scope that a request needs: /v2/NAME/KIND/REFERENCE.
func wanted(request *http.Request) string {
	path := strings.TrimPrefix(request.URL.Path, "/v2/")
	for _, kind := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if name, _, found := strings.Cut(path, kind); found {
			if request.Method == http.MethodGet || request.Method == http.MethodHead {
				return "repository:" + name + ":pull"
			}
			return "repository:" + name + ":pull,push"
		}
	}
	return ""
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }
