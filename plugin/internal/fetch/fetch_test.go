package fetch_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/countersign/countersign/plugin/internal/fetch"
	"github.com/countersign/countersign/policy"
	evidencefetch "github.com/countersign/countersign/policy/evidence/fetch"
)

func TestAFetchIsRepeatedWhileItReadsMore(t *testing.T) {
	unfinished := func(read int) error { return &evidencefetch.UnfinishedError{Read: read, Of: 301} }
	down := errors.New("the registry is down")
	for name, test := range map[string]struct {
		unbounded bool
		answers   []error
		want      error
		progress  []string
	}{
		"all is read at once": {answers: []error{nil}},
		"all is read in three fetches": {
			answers:  []error{unfinished(120), unfinished(240), nil},
			progress: []string{"120 of 301", "240 of 301"},
		},
		"the second fetch reads no more": {
			answers:  []error{unfinished(120), unfinished(120)},
			want:     unfinished(120),
			progress: []string{"120 of 301"},
		},
		"the registry fails in between": {
			answers:  []error{unfinished(120), down},
			want:     down,
			progress: []string{"120 of 301"},
		},
		"nothing limits the time": {unbounded: true, answers: []error{unfinished(120)}, want: unfinished(120)},
	} {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			if !test.unbounded {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Hour)
				defer cancel()
			}
			left := test.answers
			attempts := fetch.Func(func(context.Context, digest.Digest, reference.Named) error {
				answer := left[0]
				left = left[1:]
				return answer
			})
			var progress []string
			failures := attempts.All(ctx, make([]policy.Manifest, 1), nil, func(read, of int) {
				progress = append(progress, fmt.Sprintf("%d of %d", read, of))
			})
			if len(failures) != 1 || fmt.Sprint(failures[0]) != fmt.Sprint(test.want) {
				t.Errorf("got %v, want %v", failures, test.want)
			}
			if len(left) != 0 {
				t.Errorf("%d fetches were not made", len(left))
			}
			if diff := cmp.Diff(test.progress, progress); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}
