package evidence_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	memory "github.com/google/go-containerregistry/pkg/registry"

	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/registry"
)

// secured is a registry behind TLS, at whose door more can be asked for.
type secured struct {
	*httptest.Server
	// authority certifies it, in PEM.
	authority string
}

// secure serves a registry by TLS with a certificate that is good until some time.
func (r *testRegistry) secure(
	t *testing.T, until time.Time, door func(http.Handler) http.Handler, clients *x509.CertPool,
) secured {
	t.Helper()
	certificate, authority := certify(t, until)
	server := httptest.NewUnstartedServer(door(r.server.Config.Handler))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	if clients != nil {
		server.TLS.ClientAuth, server.TLS.ClientCAs = tls.RequireAndVerifyClientCert, clients
	}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return secured{Server: server, authority: authority}
}

// certify makes a self-signed certificate for this machine.
func certify(t *testing.T, until time.Time) (certificate tls.Certificate, authority string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registry of a test"},
		NotBefore: until.Add(-48 * time.Hour), NotAfter: until, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func openDoor(sound http.Handler) http.Handler { return sound }

// wanting answers only requests with a header.
func wanting(sound http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Team") != "blue" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		sound.ServeHTTP(w, r)
	})
}

// otherPath serves the API at another path.
func otherPath(sound http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, "/proxy/api")
		if !ok || strings.HasPrefix(path, "/v2/") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		r.URL.Path = "/v2" + path
		sound.ServeHTTP(w, r)
	})
}

func TestRegistriesAreReachedAsHostsTomlSays(t *testing.T) {
	tomorrow := time.Now().Add(24 * time.Hour)
	for name, test := range map[string]struct {
		door   func(http.Handler) http.Handler
		until  time.Time
		client bool
		// settings are those of the registry in hosts.toml, and want is the failure; empty: there is none.
		settings, want string
	}{
		"by a certificate's authority":        {openDoor, tomorrow, false, `ca = "ca.pem"`, ""},
		"without verification":                {openDoor, tomorrow, false, `skip_verify = true`, ""},
		"by nothing":                          {openDoor, tomorrow, false, ``, "certificate signed by unknown authority"},
		"by an authority that is not there":   {openDoor, tomorrow, false, `ca = "no.pem"`, "unable to read CA cert"},
		"with a certificate that has expired": {openDoor, tomorrow.Add(-25 * time.Hour), false, `ca = "ca.pem"`, "expired"},
		"with a client's certificate":         {openDoor, tomorrow, true, "ca = 'ca.pem'\nclient = [['c.pem', 'k.pem']]", ""},
		"without the client's certificate":    {openDoor, tomorrow, true, `ca = "ca.pem"`, "certificate required"},
		"with a header":                       {wanting, tomorrow, false, "ca = 'ca.pem'\n[header]\nX-Team = 'blue'", ""},
		"without the header":                  {wanting, tomorrow, false, `ca = "ca.pem"`, "403 Forbidden"},
		"at another path":                     {otherPath, tomorrow, false, "ca = 'ca.pem'\noverride_path = true", ""},
		"at another path, not said to be":     {otherPath, tomorrow, false, `ca = "ca.pem"`, "403 Forbidden"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, host := range []string{"registry.example", "_default"} {
				p := pusher{testRegistry: newRegistry(t, memory.WithReferrersSupport(true)), t: t, api: true}
				m := manifestOf("image")
				p.sign(t, "app", m, signed(1))
				p.attach(m, referrer{content: statement(signs, 1), predicate: signs})
				certificate, clientAuthority := certify(t, tomorrow)
				var clients *x509.CertPool
				if test.client {
					clients = x509.NewCertPool()
					clients.AppendCertsFromPEM([]byte(clientAuthority))
				}
				server := p.secure(t, test.until, test.door, clients)
				path := ""
				if strings.Contains(name, "another path") {
					path = "/proxy/api"
				}
				hosts := hostsFor(t, host, fmt.Sprintf("server = %q\n%s\n", server.URL+path, test.settings))
				key, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
				if err != nil {
					t.Fatal(err)
				}
				write(t, filepath.Join(hosts, host, "ca.pem"), server.authority)
				write(t, filepath.Join(hosts, host, "c.pem"), clientAuthority)
				write(t, filepath.Join(hosts, host, "k.pem"),
					string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
				keeper := open(t, reaching(registry.Config{HostsDirectory: hosts}))
				got := fetched(t, keeper, parse(t, "registry.example/app:v1"), m)
				if test.want != "" {
					check(t, got, test.want)
				} else if got.Signatures != 1 || got.Bundles != 1 {
					t.Errorf("%s: %+v", host, got)
				}
			}
		})
	}
}

// TestARegistryThatIsNamedTwiceSaysOnceThatThereIsNone: with its certificate's authority and, as the server, without.
func TestARegistryThatIsNamedTwiceSaysOnceThatThereIsNone(t *testing.T) {
	p := pusher{testRegistry: newRegistry(t, memory.WithReferrersSupport(true)), t: t, api: true}
	server := p.secure(t, time.Now().Add(24*time.Hour), openDoor, nil)
	hosts := hostsFor(t, "registry.example", fmt.Sprintf("server = %[1]q\n[host.%[1]q]\n"+
		"capabilities = ['pull', 'resolve']\nca = 'ca.pem'\n", server.URL))
	write(t, filepath.Join(hosts, "registry.example", "ca.pem"), server.authority)
	keeper := open(t, reaching(registry.Config{HostsDirectory: hosts}))
	named, m := parse(t, "registry.example/app:v1"), manifestOf("image")
	if got := fetched(t, keeper, named, m); got.State != policy.None {
		t.Errorf("without a signature: %+v", got)
	}
	p.attach(m, referrer{content: statement(signs, 1), predicate: signs})
	if got := fetched(t, keeper, named, m); got.State != policy.Found || got.Bundles != 1 {
		t.Errorf("with a bundle: %+v", got)
	}
}

// What a mirror is not able to, by hosts.toml, it is not asked.
func TestCapabilitiesSayWhatAHostIsAsked(t *testing.T) {
	m := manifestOf("image")
	tag, list := "/v2/app/manifests/sha256-"+m.Encoded()+".sig", "/v2/app/manifests/sha256-"+m.Encoded()
	api := "/v2/app/referrers/" + m.String()
	for capabilities, want := range map[string][]string{
		`["pull", "resolve", "referrers"]`: {"HEAD " + tag, "GET " + api, "HEAD " + list},
		`["pull", "resolve"]`:              {"HEAD " + tag, "GET " + api, "HEAD " + list},
		`["pull", "referrers"]`:            {"GET " + api},
		`["pull"]`:                         nil,
		`["resolve", "push"]`:              nil,
	} {
		t.Run(capabilities, func(t *testing.T) {
			mirror, r := newRegistry(t), newRegistry(t)
			r.sign(t, "app", m, signed(1))
			hosts := hostsFor(t, "registry.example", fmt.Sprintf("server = %q\n[host.%q]\ncapabilities = %s\n",
				r.server.URL, mirror.server.URL, capabilities))
			keeper := open(t, reaching(registry.Config{HostsDirectory: hosts}))
			if got := fetched(t, keeper, parse(t, "registry.example/app:v1"), m); got.State != policy.Found {
				t.Errorf("%+v", got)
			}
			if asked := mirror.asked(); strings.Join(asked, ",") != strings.Join(want, ",") {
				t.Errorf("asked %v, not %v", asked, want)
			}
		})
	}
}

func TestAMirrorIsToldWhichRegistryIsMeant(t *testing.T) {
	m := manifestOf("image")
	mirror, r := newRegistry(t), newRegistry(t)
	queries := map[string]bool{}
	mirror.spoilBy(func(sound http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			queries[r.URL.RawQuery] = true
			sound.ServeHTTP(w, r)
		})
	})
	hosts := hostsFor(t, "registry.example", fmt.Sprintf("server = %q\n[host.%q]\n", r.server.URL, mirror.server.URL))
	fetched(t, open(t, reaching(registry.Config{HostsDirectory: hosts})), parse(t, "registry.example/app:v1"), m)
	if len(queries) != 1 || !queries["ns=registry.example"] {
		t.Errorf("asked with %v", queries)
	}
}
