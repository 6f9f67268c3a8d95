package node

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

// memoryServer is a registry (go-containerregistry) in this process. It stores everything in memory.
type memoryServer struct {
	handler http.Handler
	access  access
	server  *http.Server
	done    chan error

	mutex sync.Mutex // Guards the following fields.
	asked []Request
	text  bytes.Buffer
}

func newMemoryServer(config RegistryConfig, access access) *memoryServer {
	s := &memoryServer{access: access}
	logger := slog.NewLogLogger(slog.NewTextHandler(lockedWriter{s}, nil), slog.LevelInfo)
	handler := registry.New(registry.WithReferrersSupport(true), registry.Logger(logger))
	switch {
	case access.tokens != nil:
		handler = access.tokens.require(handler)
	case config.Username != "":
		handler = authenticate(handler, config.Username, config.Password)
	}
	if config.Wrap != nil {
		handler = config.Wrap(handler)
	}
	s.handler = s.record(handler)
	return s
}

func (s *memoryServer) start(ctx context.Context, address string) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if s.access.certificate.Certificate != nil {
		listener = listenTLS(listener, s.access.certificate)
	}
	logger := slog.NewLogLogger(slog.NewTextHandler(lockedWriter{s}, nil), slog.LevelInfo)
	s.server = &http.Server{Handler: s.handler, ReadHeaderTimeout: time.Minute, ErrorLog: logger}
	s.done = make(chan error, 1)
	go func() { s.done <- s.server.Serve(listener) }()
	return nil
}

func (s *memoryServer) stop() error {
	err := s.server.Close()
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

func (s *memoryServer) requests() ([]Request, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return append([]Request(nil), s.asked...), nil
}

func (s *memoryServer) log() (string, error) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String(), nil
}

func (s *memoryServer) remove() error { return nil }

func (s *memoryServer) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		recorder := &statusRecorder{ResponseWriter: writer, status: http.StatusOK}
		uri := request.URL.RequestURI()
		defer func() {
			s.mutex.Lock()
			defer s.mutex.Unlock()
			s.asked = append(s.asked, Request{request.Method, uri, recorder.status, request.UserAgent()})
		}()
		next.ServeHTTP(recorder, request)
	})
}

func authenticate(next http.Handler, username, password string) http.Handler {
	return http.HandlerFunc(func(writer http.ResponseWriter, request *http.Request) {
		name, word, _ := request.BasicAuth()
		if subtle.ConstantTimeCompare([]byte(name+":"+word), []byte(username+":"+password)) != 1 {
			writer.Header().Set("WWW-Authenticate", `Basic realm="countersign"`)
			http.Error(writer, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(writer, request)
	})
}

// statusRecorder records the status of a response.
type statusRecorder struct {
	http.ResponseWriter
	status int
}

func (r *statusRecorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController access to the wrapped writer: to flush, and to hijack a connection and reset it.
func (r *statusRecorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

type lockedWriter struct{ server *memoryServer }

func (w lockedWriter) Write(line []byte) (int, error) {
	w.server.mutex.Lock()
	defer w.server.mutex.Unlock()
	return w.server.text.Write(line)
}
