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

// RegistryConfig configures a registry.
type RegistryConfig struct {
	// Tools are required unless InProcess is set.
	Tools *Tools
	// InProcess runs go-containerregistry in this process. It has the OCI referrers API and no size limit for manifests.
	// Otherwise the registry is distribution, which lacks the API and accepts manifests of up to 4 MiB.
	InProcess bool
	// Username and Password, if set, are required: by basic authentication, or, if Tokens is set, by the harness's token
	// server, to which the registry refers its clients.
	Username, Password string
	Tokens             bool
	// TLS enables TLS, with a certificate of the registry's own CA, [Registry.Authority].
	TLS bool
	// ProxyOf makes the registry a pull-through mirror of another one: distribution's proxy mode.
	ProxyOf *Registry
	// Wrap, if set, wraps the handler of a registry in this process, to inject faults.
	Wrap func(http.Handler) http.Handler
}

// Registry is a registry on the loopback interface, with plain HTTP unless TLS is configured. It has its storage and
// port while it is stopped.
type Registry struct {
	// Host is the registry's name in references: localhost and a port.
	Host string
	// Authority is the CA certificate in PEM; nil: the registry uses plain HTTP.
	Authority []byte

	config RegistryConfig
	access access
	server server
	mutex  sync.Mutex // Guards only the two following fields.
	up     bool
	closed bool
}

// server is the part that differs between the two kinds of registry.
type server interface {
	start(ctx context.Context, address string) error
	stop() error
	requests() ([]Request, error)
	log() (string, error)
	remove() error
}

// Request is one request to a registry.
type Request struct {
	Method, Path string // Path includes the query.
	Status       int
	UserAgent    string
}

// StartRegistry starts an empty registry. The caller must close it.
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
	// Another process may bind the free port before the registry does.
	var problem error
	for range 3 {
		port, err := FreePort(ctx)
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

// Start restarts a stopped registry with the same port and storage, and waits until it answers.
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

// Stop stops the registry: from now on, connections are refused.
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

// URL returns the registry's URL: http or https, and its host.
func (r *Registry) URL() string {
	if r.Authority != nil {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// Requests returns the requests to the registry so far, in the order of its responses.
func (r *Registry) Requests() ([]Request, error) { return r.server.requests() }

// Log returns the registry's log.
func (r *Registry) Log() (string, error) { return r.server.log() }

// DockerConfig returns a docker config.json with the registry's credentials, or without any if it requires none.
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
		panic(err) // Maps of strings can always be encoded as JSON.
	}
	return contents
}

// answers waits until a server answers an HTTP request, with any status.
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
