package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// distributionServer is a registry (distribution) in its own process.
type distributionServer struct {
	config    RegistryConfig
	access    access
	directory *directory
	process   *process
}

// Indexes may list children that the registry lacks, as if not all platforms had been copied.
const distributionConfig = `version: 0.1
log:
  level: info
  accesslog:
    disabled: false
storage:
  filesystem:
    rootdirectory: DIRECTORY/storage
  delete:
    enabled: true
http:
  addr: ADDRESS
validation:
  manifests:
    indexes:
      platforms: none
`

const distributionAuth = `auth:
  htpasswd:
    realm: countersign
    path: DIRECTORY/htpasswd
`

const distributionTLS = `  addr: ADDRESS
  tls:
    certificate: DIRECTORY/certificate.pem
    key: DIRECTORY/key.pem
`

const distributionTokens = `auth:
  token:
    realm: REALM
    service: SERVICE
    issuer: SERVICE
    jwks: DIRECTORY/jwks.json
`

const distributionProxy = `proxy:
  remoteurl: REMOTE
`

func newDistributionServer(config RegistryConfig, access access) (*distributionServer, error) {
	if config.Tools == nil || config.Wrap != nil {
		return nil, errors.New("starting a registry: distribution needs Tools and cannot be wrapped")
	}
	directory, err := newDirectory()
	if err != nil {
		return nil, fmt.Errorf("starting a registry: %w", err)
	}
	return &distributionServer{config: config, access: access, directory: directory}, nil
}

func (s *distributionServer) start(ctx context.Context, address string) error {
	configuration, err := s.configuration(address)
	if err != nil {
		return err
	}
	if err := s.directory.write("config.yml", []byte(configuration)); err != nil {
		return err
	}
	process, err := start(program{
		path: s.config.Tools.Path("registry"), arguments: []string{"serve", s.directory.join("config.yml")},
		environment: []string{"OTEL_TRACES_EXPORTER=none"}, directory: s.directory.path,
		output: s.directory.join("registry.log"), access: s.directory.join("access.log"),
	})
	if err != nil {
		return err
	}
	if err := answers(ctx, address, process.exited); err != nil {
		process.kill()
		text, _ := s.log()
		return fmt.Errorf("%w\n%s", err, text)
	}
	s.process = process
	return nil
}

// configuration writes the files that the configuration names, and returns it.
func (s *distributionServer) configuration(address string) (string, error) {
	configuration, files := distributionConfig, map[string][]byte{}
	if s.access.certificate.Certificate != nil {
		configuration = strings.Replace(configuration, "  addr: ADDRESS\n", distributionTLS, 1)
		maps.Copy(files, s.access.files())
	}
	realm := ""
	switch {
	case s.access.tokens != nil:
		configuration += distributionTokens
		files["jwks.json"], realm = s.access.tokens.keys(), s.access.tokens.realm
	case s.config.Username != "":
		configuration += distributionAuth
		hash, err := bcrypt.GenerateFromPassword([]byte(s.config.Password), bcrypt.MinCost)
		if err != nil {
			return "", fmt.Errorf("hashing a password: %w", err)
		}
		files["htpasswd"] = []byte(s.config.Username + ":" + string(hash) + "\n")
	}
	remote := ""
	if s.config.ProxyOf != nil {
		configuration += distributionProxy
		remote = s.config.ProxyOf.URL()
	}
	for name, contents := range files {
		if err := s.directory.write(name, contents); err != nil {
			return "", err
		}
	}
	return strings.NewReplacer(
		"DIRECTORY", s.directory.path, "ADDRESS", address, "REALM", realm, "SERVICE", tokenService, "REMOTE", remote,
	).Replace(configuration), nil
}

func (s *distributionServer) stop() error {
	// Do not wait for idle connections when the registry is stopped.
	s.process.kill()
	s.process = nil
	return nil
}

// combined matches lines of distribution's access log, which has Apache's combined log format.
var combined = regexp.MustCompile(`^\S+ \S+ \S+ \[[^]]*\] "(\S+) (\S+) [^"]*" (\d+) \d+ "[^"]*" "([^"]*)"$`)

func (s *distributionServer) requests() ([]Request, error) {
	contents, err := os.ReadFile(s.directory.join("access.log"))
	if err != nil {
		return nil, fmt.Errorf("reading the registry's access log: %w", err)
	}
	var requests []Request
	for line := range strings.Lines(string(contents)) {
		fields := combined.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if fields == nil || fields[2] == "/" {
			continue // The harness's own request, which checks whether the registry is up.
		}
		status, err := strconv.Atoi(fields[3])
		if err != nil {
			return nil, fmt.Errorf("reading the registry's access log: %w", err)
		}
		requests = append(requests, Request{fields[1], fields[2], status, fields[4]})
	}
	return requests, nil
}

func (s *distributionServer) log() (string, error) {
	contents, err := os.ReadFile(s.directory.join("registry.log"))
	if err != nil {
		return "", fmt.Errorf("reading the registry's log: %w", err)
	}
	return string(contents), nil
}

func (s *distributionServer) remove() error { return s.directory.remove() }

// grace is how long a program may take to exit after SIGTERM.
const grace = 10 * time.Second
