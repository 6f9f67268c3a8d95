package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/distribution/reference"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/daemon"
	"github.com/countersign/countersign/plugin/internal/containerd"
	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/plugin/internal/socket"
	"github.com/countersign/countersign/policy"
	"github.com/countersign/countersign/policy/evidence"
	"github.com/countersign/countersign/policy/evidence/format"
	"github.com/countersign/countersign/policy/evidence/store"
	"github.com/countersign/countersign/policy/files"
	"github.com/countersign/countersign/policy/origin"
)

// evidenceService fetches and imports evidence, in the daemon or in this process. The caller must close it.
type evidenceService struct {
	fetchAll   func(context.Context, daemon.FetchRequest, func(daemon.FetchReport) error) error
	importItem func(context.Context, format.Item) (added int, err error)
	close      func()
}

// service returns the daemon's service if a daemon runs. Otherwise it opens the store in this process.
func (e *evidenceCommand) service(ctx context.Context) (*evidenceService, error) {
	config, err := e.config()
	if err != nil {
		return nil, err
	}
	remote := &daemon.EvidenceClient{Socket: socket.NewClient(config.Listen.Socket)}
	// An empty request shows whether a daemon answers.
	err = remote.FetchAll(ctx, daemon.FetchRequest{}, func(daemon.FetchReport) error { return nil })
	if err == nil {
		return &evidenceService{fetchAll: remote.FetchAll, importItem: remote.Import, close: func() {}}, nil
	}
	if err := unlessNoDaemon(err); err != nil {
		return nil, err
	}
	return openStore(config)
}

// unlessNoDaemon returns why the daemon did not answer, or nil if no daemon runs. If this user may not use its socket,
// a daemon does run.
func unlessNoDaemon(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; only root may use its socket", err)
	}
	if errors.Is(err, socket.ErrNoDaemon) {
		return nil
	}
	return err
}

// openStore opens the evidence store. No daemon may have it open.
func openStore(config *conf.Config) (*evidenceService, error) {
	registries := daemon.Registries(config, nil)
	keeper, err := evidence.Open(evidence.Config{
		Directory: config.Evidence.Directory, MaxSize: int64(config.Evidence.MaxSize), Exclusive: true,
		Fetcher: registries,
	})
	if errors.Is(err, store.ErrLocked) {
		return nil, fmt.Errorf("%w, but no daemon answers at %s; does the daemon use another listen.socket?",
			err, config.Listen.Socket)
	}
	if err != nil {
		return nil, err
	}
	images := &nodeImages{config: config.Containerd}
	service := &daemon.EvidenceService{
		Images:            images.list,
		RequiresSignature: requiresSignature(config),
		Registry:          fetch.Registry{Resolve: registries.Resolve, Image: registries.Image},
		Fetch:             keeper.Fetch,
		Lookup:            keeper.Lookup,
		Import:            keeper.Import,
	}
	return &evidenceService{
		fetchAll:   service.FetchAll,
		importItem: func(_ context.Context, item format.Item) (int, error) { return keeper.Import(item) },
		close:      func() { images.close(); keeper.Close() },
	}, nil
}

// requiresSignature returns a function that reports whether some document requires a signature of a reference. The
// documents are read at the first call.
func requiresSignature(config *conf.Config) func(reference.Named) bool {
	decider := sync.OnceValue(func() *policy.Decider {
		kinds := daemon.RequirementKinds(nil)
		documents := files.Open(daemon.Documents(config, kinds))
		decider, err := policy.NewDecider(policy.Sources{
			Documents: documents.Current,
			Image: func(context.Context, policy.Question) (*policy.Image, error) {
				return nil, policy.Refuse(policy.Internal, "images are not read here")
			},
			Lookup: evidence.Read(config.Evidence.Directory),
			Kinds:  kinds,
		})
		if err != nil {
			return nil
		}
		return decider
	})
	return func(ref reference.Named) bool { return decider() == nil || decider().RequiresSignature(ref) }
}

// nodeImages lists the images of containerd. The caller must close it.
type nodeImages struct {
	config conf.Containerd
	stop   func()
}

// listTimeout limits the time to list the images on this node.
const listTimeout = time.Minute

// list returns all images on this node. It is called once.
func (n *nodeImages) list(ctx context.Context) ([]origin.LocalImage, error) {
	connection, err := containerd.Connect(ctx, n.config.Address, n.config.Namespace)
	if err != nil {
		return nil, err
	}
	images := origin.New(connection, n.config.Namespace, slog.New(slog.DiscardHandler))
	following, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = images.Run(following) })
	n.stop = func() {
		stop()
		running.Wait()
		_ = errors.Join(images.Close(), connection.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, listTimeout)
	defer cancel()
	if err := daemon.AwaitImages(ctx, images); err != nil {
		return nil, err
	}
	return images.LocalImages(), nil
}

func (n *nodeImages) close() {
	if n.stop != nil {
		n.stop()
	}
}
