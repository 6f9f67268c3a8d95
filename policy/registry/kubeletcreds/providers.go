package kubeletcreds

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/countersign/countersign/policy/internal/domain"
)

const (
	// maxProviderAnswer limits the output of a provider, in bytes.
	maxProviderAnswer = 1 << 20
	// maxProviderAnswers limits the cached answers.
	maxProviderAnswers = 1024
)

// providers calls the kubelet's credential provider plugins like the kubelet (Kubernetes v1.36,
// pkg/credentialprovider/plugin): those whose matchImages match, with an image's name without tag and digest. An answer
// is valid for the image, its registry or all images, for its cacheDuration. The kubelet gives a plugin a minute; here
// it has the time of the fetch.
type providers struct {
	config, directory string

	mu sync.Mutex
	// answers are cached by provider and validity; running are the calls in progress.
	answers map[answerKey]keptAnswer
	running map[answerKey]*runningAnswer
	made    uint64
}

// answerKey is the provider of an answer, and what the answer is valid for. A provider with another configuration is
// another provider.
type answerKey struct{ provider, image string }

type keptAnswer struct {
	answer *providerAnswer
	until  time.Time
	// used orders answers by age.
	used uint64
}

// runningAnswer is a call in progress; the fields after done may be read when done is closed.
type runningAnswer struct {
	done   chan struct{}
	answer *providerAnswer
	err    error
}

// newProviders returns nil if none are configured.
func newProviders(config, directory string) *providers {
	if config == "" || directory == "" {
		return nil
	}
	return &providers{
		config: config, directory: directory,
		answers: map[answerKey]keptAnswer{}, running: map[answerKey]*runningAnswer{},
	}
}

// lookup returns the first credentials that a provider has for an image, and that are not rejected. If there are none,
// note is the reason; a provider that fails does not prevent calls to others, or attempts without credentials.
func (p *providers) lookup(ctx context.Context, image string, rejected func(login) bool) (found login, note string) {
	if p == nil {
		return login{}, ""
	}
	all, err := readProviders(p.config)
	if err != nil {
		return login{}, err.Error()
	}
	for i := range all {
		of := &all[i]
		if !of.matches(image) {
			continue
		}
		if of.wantsToken() {
			note = fmt.Sprintf("the credential provider %s requires a pod's service account token, which is not available here",
				of.Name)
			continue
		}
		answer, err := p.ask(ctx, of, image)
		if err != nil {
			note = fmt.Sprintf("the credential provider %s failed: %v", of.Name, err)
			continue
		}
		for _, one := range answer.of(image) {
			found := login{one.Username, one.Password, "the credential provider " + of.Name}
			if !rejected(found) {
				return found, ""
			}
		}
		note = fmt.Sprintf("the credential provider %s has no credentials", of.Name)
	}
	if note == "" {
		note = fmt.Sprintf("no credential provider in %s is for %s", p.config, image)
	}
	return login{}, note
}

// ask returns a cached answer, or calls the provider: once for all concurrent lookups of the image.
func (p *providers) ask(ctx context.Context, of *provider, image string) (*providerAnswer, error) {
	identity, err := json.Marshal(of)
	if err != nil {
		return nil, fmt.Errorf("hashing the provider's configuration: %w", err)
	}
	key := answerKey{provider: string(identity), image: image}
	for {
		p.mu.Lock()
		if answer := p.kept(key); answer != nil {
			p.mu.Unlock()
			return answer, nil
		}
		running, ok := p.running[key]
		if !ok {
			running = &runningAnswer{done: make(chan struct{})}
			p.running[key] = running
			p.mu.Unlock()
			p.produce(ctx, of, key, running)
			return running.answer, running.err
		}
		p.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-running.done:
		}
		if running.err == nil || !errors.Is(running.err, errUnanswered) {
			return running.answer, running.err
		}
		// The caller that started the call has run out of time, but this one has not.
	}
}

// produce calls a provider and caches its answer.
func (p *providers) produce(ctx context.Context, of *provider, key answerKey, running *runningAnswer) {
	running.answer, running.err = p.run(ctx, of, key.image)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, key)
	close(running.done)
	if running.err == nil && running.answer.keep > 0 {
		key.image = running.answer.cacheKey(key.image)
		p.keep(key, running.answer)
	}
}

// keep caches an answer. If there are too many, it evicts one: preferably one that has expired, of the domain with the
// most. The caller holds mu.
func (p *providers) keep(key answerKey, answer *providerAnswer) {
	now := time.Now()
	if _, ok := p.answers[key]; !ok && len(p.answers) >= maxProviderAnswers {
		evicted, _ := domain.Evict(p.answers, func(key answerKey, kept keptAnswer) domain.Candidate {
			c := domain.Candidate{Domain: domain.Of(hostOf(key.image)), Used: kept.used}
			switch {
			case !now.Before(kept.until):
			case key.image == globalKey:
				c.Rank = 2
			default:
				c.Rank = 1
			}
			return c
		})
		delete(p.answers, evicted)
	}
	p.made++
	p.answers[key] = keptAnswer{answer: answer, until: now.Add(answer.keep), used: p.made}
}

// kept returns a cached answer that is valid for the image, its registry or all images, or nil. The caller holds mu.
func (p *providers) kept(key answerKey) *providerAnswer {
	for _, image := range []string{key.image, hostOf(key.image), globalKey} {
		at := answerKey{provider: key.provider, image: image}
		kept, ok := p.answers[at]
		if ok && time.Now().Before(kept.until) {
			return kept.answer
		}
		delete(p.answers, at)
	}
	return nil
}

// errUnanswered reports that a provider had no time to answer.
var errUnanswered = errors.New("it did not answer in time")

// run runs a provider's program, which is killed when ctx ends.
func (p *providers) run(ctx context.Context, of *provider, image string) (*providerAnswer, error) {
	request, err := json.Marshal(map[string]string{
		"apiVersion": of.APIVersion, "kind": "CredentialProviderRequest", "image": image,
	})
	if err != nil {
		return nil, fmt.Errorf("writing the request: %w", err)
	}
	command := groupCommand(ctx, filepath.Join(p.directory, of.Name), of.Args...)
	command.Env = os.Environ()
	for _, variable := range of.Env {
		command.Env = append(command.Env, variable.Name+"="+variable.Value)
	}
	output := &limitedBuffer{left: maxProviderAnswer}
	command.Stdin, command.Stdout = bytes.NewReader(request), output
	err = command.Run()
	switch {
	case ctx.Err() != nil:
		return nil, errUnanswered
	case output.left < 0:
		return nil, fmt.Errorf("its output is larger than %d bytes", maxProviderAnswer)
	case err != nil:
		return nil, err
	}
	return parseProviderAnswer(output.kept.Bytes(), of)
}
