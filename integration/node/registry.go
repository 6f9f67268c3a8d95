package node

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
)

// RegistryConfig says which registry to start.
type RegistryConfig struct {
	// Tools are needed unless InProcess is set.
	Tools *Tools
	// InProcess serves from this process by go-containerregistry, which has the OCI referrers API and no upper bound for
	// manifests. Without it the registry is distribution, which lacks the API and takes manifests of up to 4 MiB.
	InProcess bool
	// Username and Password, where set, are asked for: by basic authentication, or where Tokens is set by the token server
	// that the registry then sends its clients to, which is the harness's own.
	Username, Password string
	Tokens             bool
	// TLS has it speak TLS, with a certificate of an authority of its own, [Registry.Authority].
	TLS bool
	// ProxyOf makes it a pull-through mirror of another registry: distribution's proxy mode.
	ProxyOf *Registry
	// Wrap, where set, stands before a registry in this process, to break it.
	Wrap func(http.Handler) http.Handler
}

// Registry is a registry on the loopback interface, by plain HTTP unless it was to speak TLS. Its storage and its port
// stay as they are while it is stopped.
type Registry struct {
	// Host is its name in references: localhost and a port.
	Host string
	// Authority is the certificate of who certifies it, in PEM; nil: it speaks plain HTTP.
	Authority []byte

	config RegistryConfig
	access access
	server server
	mutex  sync.Mutex // Guards nothing but the two that follow.
	up     bool
	closed bool
}

// server is what differs between the two kinds of registry.
type server interface {
	start(ctx context.Context, address string) error
	stop() error
	requests() ([]Request, error)
	log() (string, error)
	remove() error
}

// Request is one request that a registry was sent.
type Request struct {
	Method, Path string // Path includes the query.
	Status       int
	UserAgent    string
}

// StartRegistry starts a registry with an empty storage. Close it.
func StartRegistry(ctx context.Context, config RegistryConfig) (*Registry, error) {
	if err := Sweep(); err != nil {
		return nil, err
	}
	access, err := newAccess(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("starting a registry: %w", err)
	}
	registry := &Registry{config: config, access: access, Authority: access.authority}
	if config.InProcess {
		registry.server = newMemoryServer(config, access)
	} else {
		server, err := newDistributionServer(config, access)
		if err != nil {
			return nil, errors.Join(err, access.close())
		}
		registry.server = server
	}
	// Another process may take a free port before the registry does.
	var problem error
	for range 3 {
		port, err := freePort(ctx)
		if err != nil {
			return nil, errors.Join(err, registry.Close())
		}
		registry.Host = net.JoinHostPort("localhost", strconv.Itoa(port))
		if problem = registry.Start(ctx); problem == nil {
			return registry, nil
		}
	}
	return nil, errors.Join(problem, registry.Close())
}

// Start starts a registry that was stopped, at the same port and with the same storage, and waits until it answers.
func (r *Registry) Start(ctx context.Context) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.up {
		return nil
	}
	_, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		return fmt.Errorf("starting a registry: %w", err)
	}
	if err := r.server.start(ctx, net.JoinHostPort("127.0.0.1", port)); err != nil {
		return fmt.Errorf("starting a registry: %w", err)
	}
	r.up = true
	return nil
}

// Stop stops the registry: connections are refused from now on.
func (r *Registry) Stop() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if !r.up {
		return nil
	}
	r.up = false
	return r.server.stop()
}

// Close stops the registry and removes its storage.
func (r *Registry) Close() error {
	err := r.Stop()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.closed {
		return err
	}
	r.closed = true
	return errors.Join(err, r.server.remove(), r.access.close())
}

// URL is where the registry is: http or https, and its host.
func (r *Registry) URL() string {
	if r.Authority != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// Requests returns what the registry was asked so far, in the order of its answers.
func (r *Registry) Requests() ([]Request, error) { return r.server.requests() }

// Log returns what the registry wrote.
func (r *Registry) Log() (string, error) { return r.server.log() }

// DockerConfig returns a docker config.json with the registry's credentials, and without any if it asks for none.
func (r *Registry) DockerConfig() []byte {
	type entry struct {
		Auth string `json:"auth"`
	}
	auths := map[string]entry{}
	if r.config.Username != "" {
		pair := r.config.Username + ":" + r.config.Password
		auths[r.Host] = entry{Auth: base64.StdEncoding.EncodeToString([]byte(pair))}
	}
	contents, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		panic(err) // Maps of strings have a form in JSON.
	}
	return contents
}

func freePort(ctx context.Context) (int, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	return listener.Addr().(*net.TCPAddr).Port, listener.Close()
}

// answers waits until a server at an address answers an HTTP request, whatever the answer.
func answers(ctx context.Context, address string, alive func() error) error {
	return until(ctx, "an answer from "+address, func(ctx context.Context) error {
		if err := alive(); err != nil {
			return stopAsking(err)
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", http.NoBody)
		if err != nil {
			return stopAsking(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		return response.Body.Close()
	})
}
