package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/origin"
	"github.com/countersign/countersign/policy/signature"
)

// worker fetches and imports, wherever that is done. It must be closed.
type worker struct {
	fetchAll func(context.Context, fetchRequest, func(fetchReport) error) error
	bring    func(context.Context, format.Item) (added int, err error)
	close    func()
}

// worker is the daemon where it runs, and else this process, which then has the store for itself.
func (e *evidenceCommand) worker(ctx context.Context) (*worker, error) {
	config, err := e.config()
	if err != nil {
		return nil, err
	}
	remote := &remoteWork{socket.NewClient(config.Listen.Socket)}
	// A request for nothing tells whether somebody is there.
	err = remote.fetchAll(ctx, fetchRequest{}, func(fetchReport) error { return nil })
	if err == nil {
		return &worker{fetchAll: remote.fetchAll, bring: remote.bring, close: func() {}}, nil
	}
	if err := unlessAway(err); err != nil {
		return nil, err
	}
	return openStore(config)
}

// unlessAway returns why the daemon did not answer, and nil if it is not there. One that may not be asked is there.
func unlessAway(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; only root may ask it", err)
	}
	if errors.Is(err, socket.ErrNoDaemon) {
		return nil
	}
	return err
}

// remoteWork is that of the daemon.
type remoteWork struct{ client *socket.Client }

func (r *remoteWork) fetchAll(ctx context.Context, request fetchRequest, report func(fetchReport) error) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("asking the daemon: %w", err)
	}
	response, err := r.client.Post(ctx, fetchEndpoint, "application/json", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, socket.MaxMessage)
	for lines.Scan() {
		var line fetchReport
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return fmt.Errorf("asking the daemon: its answer: %w", err)
		}
		if line.Total == 0 && line.Error != "" {
			return errors.New(line.Error)
		}
		if err := report(line); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("asking the daemon: its answer ended early: %w", err)
	}
	return nil
}

func (r *remoteWork) bring(ctx context.Context, item format.Item) (added int, err error) {
	body, err := json.Marshal(item)
	if err != nil {
		return 0, fmt.Errorf("asking the daemon: %w", err)
	}
	response, err := r.client.Post(ctx, importEndpoint, "application/json", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	var answer importAnswer
	if err := json.NewDecoder(io.LimitReader(response.Body, socket.MaxMessage)).Decode(&answer); err != nil {
		return 0, fmt.Errorf("asking the daemon: its answer: %w", err)
	}
	return answer.Added, nil
}

// openStore opens the store, which no daemon has open.
func openStore(config *conf.Config) (*worker, error) {
	reached := registries(config, nil)
	keeper, err := evidence.Open(evidence.Config{
		Directory: config.Evidence.Directory, MaxSize: int64(config.Evidence.MaxSize), Exclusive: true, Fetcher: reached,
	})
	if errors.Is(err, evidence.ErrLocked) {
		return nil, fmt.Errorf("%w, but no daemon answers at %s; is listen.socket what the daemon has?",
			err, config.Listen.Socket)
	}
	if err != nil {
		return nil, err
	}
	node := &node{config: config}
	work := &evidenceWork{
		held: node.held, asks: asksOf(config), resolve: reached.Resolve, read: reached.Image,
		fetch: keeper.Fetch, kept: keeper.Kept, bring: keeper.Import,
	}
	return &worker{
		fetchAll: work.fetchAll,
		bring:    func(_ context.Context, item format.Item) (int, error) { return keeper.Import(item) },
		close:    func() { node.close(); keeper.Close() },
	}, nil
}

// asksOf reads the policies when it is first asked.
func asksOf(config *conf.Config) func(reference.Named) bool {
	decider := sync.OnceValue(func() *policy.Decider {
		documents := files.Open(files.Config{
			System: config.Policy.System, Directory: config.Policy.Directory, StateFile: config.StateFile(),
			Parse: signature.NewParser(requirementKinds(nil)).Parse,
		})
		decider, err := policy.NewDecider(policy.Sources{
			Documents: documents.Current,
			Image: func(context.Context, policy.Question) (*policy.Image, error) {
				return nil, policy.Refuse(policy.Internal, "no image is looked for here")
			},
			Kept:  evidence.Read(config.Evidence.Directory),
			Kinds: requirementKinds(nil),
		})
		if err != nil {
			return nil
		}
		return decider
	})
	return func(ref reference.Named) bool { return decider() == nil || decider().Asks(ref) }
}

// node looks at containerd for as long as a command runs.
type node struct {
	config *conf.Config
	end    func()
}

func (n *node) held(ctx context.Context) ([]origin.Held, error) {
	containerd, err := connect(ctx, n.config.Containerd.Address, n.config.Containerd.Namespace)
	if err != nil {
		return nil, err
	}
	images := origin.New(containerd, n.config.Containerd.Namespace, slog.New(slog.DiscardHandler))
	following, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = images.Run(following) })
	n.end = func() {
		stop()
		running.Wait()
		_ = errors.Join(images.Close(), containerd.Close())
	}
	return awaitHeld(ctx, images)
}

func (n *node) close() {
	if n.end != nil {
		n.end()
	}
}

// heldTimeout bounds how long containerd is asked what is on this node.
const heldTimeout = time.Minute

// awaitHeld returns what is on this node once all of it has been read.
func awaitHeld(ctx context.Context, images *origin.Containerd) ([]origin.Held, error) {
	ctx, cancel := context.WithTimeout(ctx, heldTimeout)
	defer cancel()
	for {
		changed := images.Changed()
		if state := images.State(); state.Following && state.Unread == 0 {
			return images.Held(), nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", errUnknownHere, ctx.Err())
		case <-changed:
		}
	}
}
