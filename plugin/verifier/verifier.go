package verifier

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/countersign/countersign/conf"
	"github.com/countersign/countersign/plugin/internal/socket"
)

// Exit statuses. To containerd any but the first blocks the pull (containerd v2.4.2, pkg/imageverifier/bindir).
const (
	Allow = 0
	Block = 1
)

// The reasons that the verifier itself gives; all others are the daemon's. They are words of package policy, which
// imports more than the standard library.
const (
	badRequest  = "bad-request"
	internal    = "internal"
	unavailable = "unavailable"
)

// Run answers containerd about one pull: with an exit status, and a line on stdout that says why. What an operator
// needs to know beyond that is on stderr, which containerd logs at level debug.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	started := time.Now()
	question, err := parseArguments(args[1:])
	if err != nil {
		fmt.Fprintf(stderr, "countersign-verifier: %v\n", err)
		fmt.Fprintln(stdout, socket.Refusal(question.name, "the image verifier was not asked as it should be", badRequest))
		return Block
	}
	settings, err := conf.ReadVerifier(question.config)
	if err != nil {
		fmt.Fprintf(stderr, "countersign-verifier: %v\n", err)
		fmt.Fprintln(stdout, socket.Refusal(question.name, "countersign's configuration cannot be read by its image "+
			"verifier; on the node, countersign run says what is wrong with it", internal))
		return Block
	}
	ctx, cancel := context.WithDeadline(context.Background(), started.Add(settings.Timeout))
	defer cancel()
	status, line, err := question.answer(ctx, settings, stdin)
	if err != nil {
		fmt.Fprintf(stderr, "countersign-verifier: %v\n", err)
	}
	fmt.Fprintln(stdout, line)
	return status
}

// question is what containerd asks.
type question struct {
	name, digest, config string
}

func parseArguments(args []string) (question, error) {
	var q question
	var mediaType string
	flags := flag.NewFlagSet("countersign-verifier", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&q.name, "name", "", "the image's reference")
	flags.StringVar(&q.digest, "digest", "", "the digest of its manifest or index")
	flags.StringVar(&mediaType, "stdin-media-type", "", "what is on stdin")
	flags.StringVar(&q.config, "config", "", "configuration file (default "+conf.DefaultPath+")")
	if err := flags.Parse(args); err != nil {
		return q, fmt.Errorf("%w; containerd runs this program as an image verifier, with -name, -digest and "+
			"-stdin-media-type, and a descriptor on stdin", err)
	}
	switch {
	case flags.NArg() > 0:
		return q, fmt.Errorf("there is an argument too many: %q", flags.Arg(0))
	case q.name == "" || q.digest == "":
		return q, errors.New("-name and -digest are needed; containerd runs this program as an image verifier")
	case mediaType != descriptorMediaType:
		return q, fmt.Errorf("-stdin-media-type is %q, and only %s is understood", mediaType, descriptorMediaType)
	}
	return q, nil
}

// answer reads the descriptor and asks the daemon. The error is for the log: what becomes of the pull is said without.
func (q *question) answer(
	ctx context.Context, settings conf.Verifier, stdin io.Reader,
) (status int, line string, err error) {
	image, err := readDescriptor(ctx, stdin)
	if err == nil && image.Digest != q.digest {
		err = fmt.Errorf("the descriptor on stdin is of %q, and -digest is %q", image.Digest, q.digest)
	}
	if err != nil {
		return Block, socket.Refusal(q.name, "the image verifier was not told which image is pulled", badRequest), err
	}
	answer, err := q.ask(ctx, settings, image)
	switch {
	case err == nil && answer.Decision == socket.Admit:
		return Allow, answer.Message, nil
	case err == nil:
		return Block, answer.Message, nil
	case settings.OnDaemonUnavailable == conf.AllowPulls:
		return Allow, socket.Admission(q.name, "let in, although countersign cannot be asked on this node", unavailable), err
	default:
		return Block, socket.Refusal(q.name, "countersign cannot be asked on this node, and images are not let in "+
			"without; it is tried again by itself", unavailable), err
	}
}

// ask asks the daemon. An error says that it is not there: nobody listens, it gives no answer in time although it has
// less time for it than we have, or what it says makes no sense.
func (q *question) ask(ctx context.Context, settings conf.Verifier, image descriptor) (socket.PullAnswer, error) {
	request := socket.PullRequest{Name: q.name, Digest: image.Digest, MediaType: image.MediaType, Size: image.Size}
	if deadline, ok := ctx.Deadline(); ok {
		request.Within = time.Until(deadline).Milliseconds()
	}
	client := socket.NewClient(settings.Socket)
	answer, err := socket.Call[socket.PullAnswer](ctx, client, socket.PullEndpoint, request)
	if err != nil {
		return answer, err
	}
	return answer, answer.Check()
}
