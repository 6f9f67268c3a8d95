package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/nri"
)

// Limits of stopping: at most a tenth of the node's containers in an hour. Each gets half a minute to end.
const (
	stopWindow = time.Hour
	stopShare  = 10
	stopWait   = 30 * time.Second
)

// stopper stops containers in drift, where that is configured: one at a time, after the grace period, and within the
// limits. The times of the last stops are in a file, so that the limits hold across restarts of the daemon.
type stopper struct {
	config func() *conf.Config
	// stop stops a container, and returns when it has ended.
	stop    func(ctx context.Context, id string) error
	counted func()
	file    string
	log     *slog.Logger
}

// stops reports whether containers are stopped in any namespace.
func (s *stopper) stops() bool { return s.config().StopsAnywhere() }

// stopOne stops the container that is in drift for longest, of those that are to be stopped. The container is
// evaluated once more before: the policy, or the mode of its namespace, may have changed.
func (s *stopper) stopOne(ctx context.Context, on *running) error {
	drifted := on.drift.list()
	at := slices.IndexFunc(drifted, s.due)
	if at < 0 {
		return nil
	}
	due := drifted[at]
	containers, err := on.listed(ctx)
	if err != nil {
		return err
	}
	stopped, err := s.recent()
	if err != nil {
		return err
	}
	if len(stopped) >= len(containers)/stopShare {
		return nil
	}
	for _, container := range containers {
		if container.ID != due.ContainerID {
			continue
		}
		on.evaluate(ctx, []nri.ContainerInfo{infoOf(container)}, on.record)
		if !on.drift.has(container.ID) || s.config().Running(container.Namespace) != conf.RunningStop {
			return nil
		}
		return s.stopNow(ctx, due, append(stopped, time.Now()))
	}
	return nil
}

// due reports whether a container is to be stopped.
func (s *stopper) due(one Drifted) bool {
	config := s.config()
	return config.Running(one.Namespace) == conf.RunningStop && time.Since(one.Since) >= config.Enforce.RunningGracePeriod
}

// stopNow stops a container. It is counted before: a stop that cannot be counted does not happen.
func (s *stopper) stopNow(ctx context.Context, one Drifted, stopped []time.Time) error {
	if err := s.write(stopped); err != nil {
		s.log.ErrorContext(ctx, "containers in drift are not stopped: their number cannot be limited", "error", err)
		return err
	}
	s.log.WarnContext(ctx, "stopping a container that the policy refuses", "namespace", one.Namespace, "pod", one.Pod,
		"container", one.Container, "container_id", one.ContainerID, "reason", one.Reason, "since", one.Since)
	if err := s.stop(ctx, one.ContainerID); err != nil {
		s.log.ErrorContext(ctx, "cannot stop a container that the policy refuses", "container_id", one.ContainerID,
			"error", err)
		return err
	}
	s.counted()
	return nil
}

// recent returns the times of the stops of the last hour.
func (s *stopper) recent() ([]time.Time, error) {
	raw, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var times []time.Time
	if err == nil {
		err = json.Unmarshal(raw, &times)
	}
	if err != nil {
		return nil, fmt.Errorf("reading when containers were stopped: %w", err)
	}
	return slices.DeleteFunc(times, func(at time.Time) bool { return time.Since(at) > stopWindow }), nil
}

func (s *stopper) write(times []time.Time) error {
	raw, err := json.Marshal(times)
	if err == nil {
		err = os.WriteFile(s.file+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(s.file+".new", s.file)
	}
	if err != nil {
		return fmt.Errorf("recording when containers were stopped: %w", err)
	}
	return nil
}
