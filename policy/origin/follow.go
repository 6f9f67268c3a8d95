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
	"github.com/containerd/containerd/v2/core/images"
	"github.com/containerd/errdefs"
	"github.com/containerd/typeurl/v2"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/policy"
)

// probeTopic is the topic of an event that we publish to learn that containerd sends us events: a subscription is not
// acknowledged, and a list that is made too early would miss changes.
const probeTopic = "/countersign/probe"

// Delays before a retry.
const (
	minBackoff   = 100 * time.Millisecond
	maxBackoff   = time.Second
	probeEvery   = 50 * time.Millisecond
	maxProbing   = 5 * time.Second
	minReadAgain = time.Second
	maxReadAgain = time.Minute
)

// Run receives containerd's image events and keeps the cache up to date, until ctx ends. When the event stream is lost,
// the cache is not used; Run reconnects indefinitely.
func (c *Containerd) Run(ctx context.Context) error {
	backoff := minBackoff
	for {
		var followed bool
		err := policy.Guard("receiving containerd's events", c.panicked, func() (err error) {
			followed, err = c.follow(ctx)
			return err
		})
		c.images.disconnected()
		c.filter.begin()
		c.checkpoints.lost()
		c.stats.forget()
		c.prepared.forget()
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the caller ended it
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

// follow subscribes, lists images, and processes events until the stream is lost. It reports whether the cache was in
// use.
func (c *Containerd) follow(ctx context.Context) (followed bool, err error) {
	ctx, cancel := context.WithCancel(c.in(ctx))
	announced := c.newEventQueue()
	failed, wait := announced.start(ctx)
	defer func() { cancel(); wait() }()
	namespace := "namespace==" + strconv.Quote(c.namespace)
	stream, lost := c.client.EventService().Subscribe(ctx,
		namespace+`,topic~="^/images/"`, namespace+`,topic=="`+createdTopic+`"`, namespace+`,topic=="`+preparedTopic+`"`,
		namespace+`,topic=="`+probeTopic+`"`)
	if err := c.probe(ctx, stream, lost); err != nil {
		return false, err
	}
	filling := c.filter.begin()
	c.start(func(ctx context.Context) { c.fillFilter(ctx, filling) })
	l := c.relist("", c.images.receiving())
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
			state := c.images.state()
			c.log.InfoContext(ctx, "receiving containerd's events",
				"names", state.Names, "images", state.Images, "unreadable", state.Unreadable)
		case <-c.images.failing:
			retry.plan()
		case <-retry.due:
			retry.done()
			c.enqueue(background, c.images.failed()...)
		}
	}
}

// retry schedules another read after a failure of containerd. Without failures it causes no wakeups.
type retry struct {
	// due is nil unless a read failed.
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

// done clears the time when it has passed.
func (r *retry) done() {
	r.due, r.last, r.wait = nil, time.Now(), min(2*r.wait, maxReadAgain)
}

// lostError returns the error with which a stream ended, or an error of its own if there is none.
func lostError(err error) error {
	if err == nil {
		err = errors.New("the stream ended")
	}
	return fmt.Errorf("receiving events: %w", err)
}

// probe returns when events are received. Earlier events can be dropped, because names are listed afterwards.
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

// handleEvent looks up the present target of the name of an event.
func (c *Containerd) handleEvent(ctx context.Context, stored string) error {
	found, err := c.lookUp(ctx, stored)
	if err == nil {
		c.learn(stored, found)
	}
	return err
}

// lookUp returns a name of containerd's image store; without a target if there is no such name.
func (c *Containerd) lookUp(ctx context.Context, stored string) (images.Image, error) {
	ctx, cancel := context.WithTimeout(ctx, maxListing)
	defer cancel()
	image, err := c.client.ImageService().Get(ctx, stored)
	if err != nil && !errdefs.IsNotFound(err) {
		return images.Image{}, fmt.Errorf("looking up image %s: %w", stored, err)
	}
	return image, nil
}

// learn records a name, and has its target read.
func (c *Containerd) learn(stored string, found images.Image) {
	c.images.nameChanged(stored, found.Target.Digest)
	c.images.setUpdateTimes(map[string]time.Time{stored: found.UpdatedAt})
	if found.Target.Digest != "" {
		c.enqueue(background, found.Target.Digest)
	}
}

// decoded returns what an event reports, or nil if it cannot be decoded.
func decoded(event *events.Envelope) any {
	if event.Event == nil {
		return nil
	}
	reported, err := typeurl.UnmarshalAny(event.Event)
	if err != nil {
		return nil
	}
	return reported
}

// eventName returns the image-store name of an event.
func eventName(event *events.Envelope) string {
	if named, ok := decoded(event).(interface{ GetName() string }); ok {
		return named.GetName()
	}
	return ""
}

// eventBlob returns the digest of the blob that was added to the content store.
func eventBlob(event *events.Envelope) digest.Digest {
	created, _ := decoded(event).(*eventtypes.ContentCreate)
	return digest.Digest(created.GetDigest())
}

// failed marks the roots for which containerd failed as unread, and returns them.
func (m *imageCache) failed() []digest.Digest {
	m.mu.Lock()
	defer m.mu.Unlock()
	var failed []digest.Digest
	for target, r := range m.roots {
		if r.state == settled && r.failure != "" && r.retry == retryWithBackoff {
			m.changes++
			m.lockedUnread(r, m.changes)
			failed = append(failed, target)
		}
	}
	return failed
}
