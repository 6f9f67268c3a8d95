package origin

import (
	"context"
	"slices"
	"sync"

	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins"
	"github.com/containerd/errdefs"

	"github.com/countersign/countersign/policy"
)

// snapshotters are the names of containerd's snapshotters, the last one with a hit first: a node uses one, or a second
// one for some runtime class, and NRI does not report which.
type snapshotters struct {
	mu    sync.Mutex
	names []string
	// remote are those that fetch files on demand.
	remote map[string]bool
}

func (s *snapshotters) list() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.names)
}

func (s *snapshotters) isRemote(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.remote[name]
}

// isLocal reports whether it is known that a snapshotter does not fetch files on demand.
func (s *snapshotters) isLocal(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	remote, known := s.remote[name]
	return known && !remote
}

// forget clears the list: containerd may have been restarted with another configuration.
func (s *snapshotters) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.names, s.remote = nil, nil
}

// promote moves a name to the front.
func (s *snapshotters) promote(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.names) > 0 && s.names[0] == name {
		return
	}
	s.names = slices.DeleteFunc(s.names, func(other string) bool { return other == name })
	s.names = slices.Insert(s.names, 0, name)
}

// snapshot finds a snapshot by its key in all snapshotters. It is refused as unknown-origin if there is none, and as
// unavailable if a call to containerd failed.
func (c *Containerd) snapshot(ctx context.Context, key string) (snapshots.Info, snapshots.Snapshotter, error) {
	known := c.stats.list()
	info, in, err := c.statIn(ctx, key, known)
	if in != nil || err != nil {
		return info, in, err
	}
	listed, err := c.listSnapshotters(ctx)
	if err != nil {
		return snapshots.Info{}, nil, policy.Refuse(policy.Unavailable, "listing containerd's snapshotters: %v", err)
	}
	rest := slices.DeleteFunc(listed, func(name string) bool { return slices.Contains(known, name) })
	info, in, err = c.statIn(ctx, key, rest)
	if in != nil || err != nil {
		return info, in, err
	}
	return snapshots.Info{}, nil, policy.Refuse(policy.UnknownOrigin,
		"no snapshotter of containerd has a snapshot %s", key)
}

// statIn returns a nil snapshotter if none of those named has the snapshot.
func (c *Containerd) statIn(ctx context.Context, key string, names []string) (
	snapshots.Info, snapshots.Snapshotter, error,
) {
	for _, name := range names {
		in := c.client.SnapshotService(name)
		if in == nil {
			continue
		}
		info, err := in.Stat(ctx, key)
		// A snapshotter that containerd no longer has is an invalid argument (plugins/services/snapshots).
		if errdefs.IsNotFound(err) || errdefs.IsInvalidArgument(err) {
			continue
		}
		if err != nil {
			return snapshots.Info{}, nil, policy.Refuse(policy.Unavailable,
				"looking up snapshot %s in containerd's snapshotter %s: %v", key, name, err)
		}
		c.stats.promote(name)
		if c.stats.isRemote(name) && (c.allowRemote == nil || !c.allowRemote()) {
			return snapshots.Info{}, nil, policy.Refuse(policy.UnknownOrigin,
				"the snapshotter %s of snapshot %s is remote: its snapshots do not prove which files they contain", name, key)
		}
		return info, in, nil
	}
	return snapshots.Info{}, nil, nil
}

// listSnapshotters lists containerd's snapshotters, and caches the list.
func (c *Containerd) listSnapshotters(ctx context.Context) ([]string, error) {
	response, err := c.client.IntrospectionService().Plugins(ctx, "type=="+string(plugins.SnapshotPlugin))
	if err != nil {
		return nil, err
	}
	var names []string
	remote := map[string]bool{}
	for _, plugin := range response.GetPlugins() {
		if plugin.GetInitErr() == nil {
			names = append(names, plugin.GetID())
			remote[plugin.GetID()] = plugin.GetExports()[remoteExport] == "true"
		}
	}
	slices.Sort(names)
	c.stats.learn(names, remote)
	return names, nil
}

// remoteExport is the property that a snapshotter exports if it fetches files on demand (containerd v2.4.2,
// core/transfer/local).
const remoteExport = "enable_remote_snapshot_annotations"

// learn sets the names, and retains the order of use.
func (s *snapshotters) learn(names []string, remote map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remote = remote
	used := slices.DeleteFunc(slices.Clone(s.names), func(name string) bool { return !slices.Contains(names, name) })
	for _, name := range names {
		if !slices.Contains(used, name) {
			used = append(used, name)
		}
	}
	s.names = used
}
