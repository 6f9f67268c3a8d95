package origin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	eventtypes "github.com/containerd/containerd/api/events"
	"github.com/containerd/containerd/v2/core/events"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// probeTopic is the topic of the event by which we learn that containerd has begun to send us events: a subscription
// is not acknowledged, and names listed too early would miss what happens between.
const probeTopic = "/countersign/probe"

// How long is waited before trying again.
const (
	minBackoff   = 100 * time.Millisecond
	maxBackoff   = time.Second
	probeEvery   = 50 * time.Millisecond
	maxProbing   = 5 * time.Second
	minReadAgain = time.Second
	maxReadAgain = time.Minute
)

// Run follows containerd's image events and keeps memory fresh by them, until ctx ends. When the event stream is
// lost, what is remembered is no longer answered from, and it is taken up again for ever.
func (c *Containerd) Run(ctx context.Context) error {
	backoff := minBackoff
	for {
		var followed bool
		err := policy.Guard("following containerd's events", c.panicked, func() (err error) {
			followed, err = c.follow(ctx)
			return err
		})
		c.memory.lose()
		c.stats.forget()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it has done what it was asked to
		}
		if followed {
			backoff = minBackoff
			c.log.WarnContext(ctx, "containerd events lost", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, maxBackoff)
	}
}

// follow subscribes, lists, and follows until the stream is lost. It reports whether memory was in use.
func (c *Containerd) follow(ctx context.Context) (followed bool, err error) {
	ctx, cancel := context.WithCancel(c.in(ctx))
	announced := c.newAnnouncements()
	failed, wait := announced.start(ctx)
	defer func() { cancel(); wait() }()
	namespace := "namespace==" + strconv.Quote(c.namespace)
	stream, lost := c.client.EventService().Subscribe(ctx,
		namespace+`,topic~="^/images/"`, namespace+`,topic=="`+probeTopic+`"`)
	if err := c.probe(ctx, stream, lost); err != nil {
		return false, err
	}
	l := c.look("", c.memory.receiving())
	done := l.done
	retry := retry{wait: minReadAgain}
	for {
		select {
		case <-ctx.Done():
			return followed, ctx.Err()
		case err := <-lost:
			return followed, lostError(err)
		case event := <-stream:
			announced.add(event)
		case err := <-failed:
			return followed, err
		case <-done:
			if l.err != nil {
				return followed, fmt.Errorf("listing images: %w", l.err)
			}
			followed, done = true, nil
			state := c.memory.state()
			c.log.InfoContext(ctx, "following containerd",
				"names", state.Names, "images", state.Images, "unreadable", state.Unreadable)
		case <-c.memory.failing:
			retry.plan()
		case <-retry.due:
			retry.done()
			c.enqueue(ahead, c.memory.failed()...)
		}
	}
}

// retry is when to read again what containerd failed to give. A node on which all is well is not woken for it.
type retry struct {
	// due is nil while nothing failed.
	due  <-chan time.Time
	wait time.Duration
	last time.Time
}

// plan sets the time, unless it is set.
func (r *retry) plan() {
	if r.due != nil {
		return
	}
	if time.Since(r.last) > 2*maxReadAgain {
		r.wait = minReadAgain
	}
	r.due = time.After(r.wait)
}

// done notes that the time has come.
func (r *retry) done() {
	r.due, r.last, r.wait = nil, time.Now(), min(2*r.wait, maxReadAgain)
}

// lostError makes an error of the end of a stream, which may come without one.
func lostError(err error) error {
	if err == nil {
		err = errors.New("the stream ended")
	}
	return fmt.Errorf("following events: %w", err)
}

// probe returns when events are being received. Those that come before are of no interest: names are listed after.
func (c *Containerd) probe(ctx context.Context, stream <-chan *events.Envelope, lost <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, maxProbing)
	defer cancel()
	token := rand.Text()
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		if err := c.client.EventService().Publish(ctx, probeTopic, &eventtypes.ImageUpdate{Name: token}); err != nil {
			return fmt.Errorf("publishing an event: %w", err)
		}
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting for events: %w", ctx.Err())
			case err := <-lost:
				return lostError(err)
			case event := <-stream:
				if event.Topic == probeTopic && eventName(event) == token {
					return nil
				}
			case <-ticker.C:
				again = true
			}
		}
	}
}

// hear takes up what an event is about: a name, whose target is asked for, since what it is now is what matters.
func (c *Containerd) hear(ctx context.Context, stored string) error {
	ctx, cancel := context.WithTimeout(ctx, maxListing)
	defer cancel()
	var target digest.Digest
	image, err := c.client.ImageService().Get(ctx, stored)
	switch {
	case err == nil:
		target = image.Target.Digest
	case !errdefs.IsNotFound(err):
		return fmt.Errorf("asking for image %s: %w", stored, err)
	}
	c.memory.heardOf(stored, target)
	c.memory.dated(map[string]time.Time{stored: image.UpdatedAt})
	if target != "" {
		c.enqueue(ahead, target)
	}
	return nil
}

// eventName returns the image-store name an event is about.
func eventName(event *events.Envelope) string {
	if event.Event == nil {
		return ""
	}
	decoded, err := typeurl.UnmarshalAny(event.Event)
	if err != nil {
		return ""
	}
	if named, ok := decoded.(interface{ GetName() string }); ok {
		return named.GetName()
	}
	return ""
}

// failed marks the roots that containerd failed to give as unread, and returns them.
func (m *memory) failed() []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed []digest.Digest
	for target, r := range m.roots {
		if r.state == settled && r.failure != "" && r.again == soon {
			m.changes++
			m.lockedUnread(r, m.changes)
			failed = append(failed, target)
		}
	}
	return failed
}
