package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/client"
	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/countersign/countersign/integration/node"
)

// smallNode measures the idle daemon on a node with 100 images.
func (b *bench) smallNode(ctx context.Context) error {
	return b.atRest(ctx, 100, func(n *node.Node) error {
		return n.WritePolicy("", node.Policy{Default: node.Accept()}.JSON())
	}, func(process int) error {
		resident, err := residentSet(process)
		if err != nil {
			return err
		}
		b.report.atMost("resident set at rest, 100 images", resident, 40, "MiB")
		return b.wakeups(ctx, process)
	})
}

// largeNode measures the daemon on a node with 1,000 images and 10,000 policy documents.
func (b *bench) largeNode(ctx context.Context) error {
	return b.atRest(ctx, 1000, func(n *node.Node) error { return writeDocuments(n, 10_000) }, func(process int) error {
		resident, err := residentSet(process)
		if err != nil {
			return err
		}
		b.report.atMost("resident set at rest, 1,000 images and 10,000 documents", resident, 200, "MiB")
		return nil
	})
}

// atRest boots a node with images, starts the daemon, waits until it has read them, and measures.
func (b *bench) atRest(
	ctx context.Context, count int, prepare func(*node.Node) error, measure func(process int) error,
) (err error) {
	n, err := node.Boot(ctx, node.Config{Tools: b.tools, RequiredPlugins: []string{"countersign"}})
	if err != nil {
		return err
	}
	defer func() { closing(&err, n.Close) }()
	if err := fill(ctx, n, count); err != nil {
		return err
	}
	if err := prepare(n); err != nil {
		return err
	}
	daemon, err := n.StartDaemon(ctx, node.DaemonConfig{Program: b.program})
	if err != nil {
		return err
	}
	process := daemon.Process().Pid
	if err := settle(ctx, process); err != nil {
		return err
	}
	fmt.Fprintln(b.report.out)
	return measure(process)
}

// fill adds images to containerd as pulls would, but without their layers.
func fill(ctx context.Context, n *node.Node, count int) error {
	containerd, err := client.New(n.ContainerdSocket(), client.WithDefaultNamespace("k8s.io"))
	if err != nil {
		return fmt.Errorf("connecting to containerd: %w", err)
	}
	defer containerd.Close()
	for i := range count {
		config := v1.Image{
			Platform: v1.Platform{OS: "linux", Architecture: "amd64"}, Author: strconv.Itoa(i),
			RootFS: v1.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(strconv.Itoa(i))}},
		}
		described, err := write(ctx, containerd.ContentStore(), v1.MediaTypeImageConfig, config, nil)
		if err != nil {
			return err
		}
		manifest := v1.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: v1.MediaTypeImageManifest, Config: described,
			Annotations: map[string]string{"padding": strings.Repeat("x", 2048)},
		}
		labels := map[string]string{"containerd.io/gc.ref.content.config": described.Digest.String()}
		target, err := write(ctx, containerd.ContentStore(), v1.MediaTypeImageManifest, manifest, labels)
		if err != nil {
			return err
		}
		repository := fmt.Sprintf("registry.example/team-%d/app-%d", i%20, i)
		names := []string{repository + ":v1", repository + "@" + target.Digest.String(), described.Digest.String()}
		for _, name := range names {
			// The CRI plugin is notified of the image and adds its ID to the names.
			_, err := containerd.ImageService().Create(ctx, images.Image{Name: name, Target: target})
			if err != nil && !errdefs.IsAlreadyExists(err) {
				return fmt.Errorf("naming an image: %w", err)
			}
		}
	}
	return nil
}

func write(
	ctx context.Context, store content.Store, mediaType string, value any, labels map[string]string,
) (v1.Descriptor, error) {
	raw, err := json.Marshal(value)
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("making an image: %w", err)
	}
	described := v1.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	err = content.WriteBlob(ctx, store, described.Digest.String(), bytes.NewReader(raw), described,
		content.WithLabels(labels))
	return described, err
}

// writeDocuments writes documents of 8 KiB that repeat the cluster's scopes and add one scope each, like those that
// OpenShift renders.
func writeDocuments(n *node.Node, count int) error {
	scopes := make(map[string]node.Requirement)
	for i := range 40 {
		scope := fmt.Sprintf("registry-%d.example/some/organisation/with-a-long-name/%s", i, strings.Repeat("n", 60))
		scopes[scope] = node.Accept()
	}
	system := node.Policy{Default: node.Reject(), Scopes: scopes}
	if err := n.WritePolicy("", system.JSON()); err != nil {
		return err
	}
	for i := range count {
		scopes["registry.example/own"] = node.Requirement{
			"type": "sigstoreSigned", "keyData": "QQ==", "signedIdentity": map[string]string{"type": "matchRepository"},
			"rekorPublicKeyData": "QQ==",
		}
		delete(scopes, fmt.Sprintf("registry.example/team-%d", i-1))
		scopes[fmt.Sprintf("registry.example/team-%d", i)] = node.Reject()
		if err := n.WritePolicy(fmt.Sprintf("team-%d", i), system.JSON()); err != nil {
			return err
		}
	}
	return nil
}

// settle waits until the process has used no processor time for long enough to be idle: ten seconds after its start,
// the daemon checks which evidence the policies require.
func settle(ctx context.Context, process int) error {
	const calm = 12
	last, quiet := "", 0
	for quiet < calm {
		used, err := processorTime(process)
		if err != nil {
			return err
		}
		quiet++
		if used != last {
			last, quiet = used, 0
		}
		if err := wait(ctx, time.Second); err != nil {
			return err
		}
	}
	return nil
}

// processorTime returns the processor time that the process has used, in clock ticks in user and in kernel mode.
func processorTime(process int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process))
	if err != nil {
		return "", fmt.Errorf("looking at the daemon: %w", err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return fields[11] + " " + fields[12], nil
}

// wakeups counts how often any thread of the process is woken while it receives no requests.
func (b *bench) wakeups(ctx context.Context, process int) error {
	const seconds = 20
	before, err := switches(process)
	if err != nil {
		return err
	}
	if err := wait(ctx, seconds*time.Second); err != nil {
		return err
	}
	after, err := switches(process)
	if err != nil {
		return err
	}
	// The limit is zero, except for the check of all policies once a minute.
	b.report.atMost("wakeups a second at rest", float64(after-before)/seconds, 0.1, "")
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func residentSet(process int) (mebibytes float64, err error) {
	kibibytes, err := statusField(fmt.Sprintf("/proc/%d/status", process), "VmRSS:")
	return float64(kibibytes) / 1024, err
}

func switches(process int) (sum int, err error) {
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", process))
	if err != nil {
		return 0, fmt.Errorf("looking at the daemon: %w", err)
	}
	for _, thread := range threads {
		path := fmt.Sprintf("/proc/%d/task/%s/status", process, thread.Name())
		count, err := statusField(path, "voluntary_ctxt_switches:")
		if err != nil {
			return 0, err
		}
		sum += count
	}
	return sum, nil
}

func statusField(path, field string) (int, error) {
	status, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("looking at the daemon: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		if value, ok := strings.CutPrefix(line, field); ok {
			return strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
		}
	}
	return 0, fmt.Errorf("%s has no %s", path, field)
}
