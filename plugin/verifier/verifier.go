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

// Exit statuses. containerd blocks the pull on any status other than 0 (containerd v2.4.2, pkg/imageverifier/bindir).
const (
	Allow = 0
	Block = 1
)

// The reasons that the verifier itself returns; all others come from the daemon. Their values are those of package
// policy.
const (
	badRequest  = "bad-request"
	internal    = "internal"
	unavailable = "unavailable"
)

// Run answers containerd about one pull: with an exit status, and a line on stdout with the reason. Details for the
// operator go to stderr, which containerd logs at level debug.
func Run(args []string, stdin io.Reader, stdout, stderr io.Writer) (status int) {
	started := time.Now()
	question, err := parseArguments(args[1:])
	if err != nil {
		fmt.Fprintf(stderr, "countersign-verifier: %v\n", err)
		fmt.Fprintln(stdout, socket.Refusal(question.name, "invalid arguments to the image verifier", badRequest))
		return Block
	}
	settings, err := conf.ReadVerifier(question.config)
	if err != nil {
		fmt.Fprintf(stderr, "countersign-verifier: %v\n", err)
		fmt.Fprintln(stdout, socket.Refusal(question.name, "the image verifier cannot read countersign's configuration; "+
			"to see what is wrong with it, run countersign on the node", internal))
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

// question is a request by containerd.
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
		return q, fmt.Errorf("unexpected argument: %q", flags.Arg(0))
	case q.name == "" || q.digest == "":
		return q, errors.New("-name and -digest are required; containerd runs this program as an image verifier")
	case mediaType != descriptorMediaType:
		return q, fmt.Errorf("-stdin-media-type is %q; only %s is supported", mediaType, descriptorMediaType)
	}
	return q, nil
}

// answer reads the descriptor and calls the daemon. The error is for the log only; status and line are valid with an
// error too.
func (q *question) answer(
	ctx context.Context, settings conf.Verifier, stdin io.Reader,
) (status int, line string, err error) {
	image, err := readDescriptor(ctx, stdin)
	if err == nil && image.Digest != q.digest {
		err = fmt.Errorf("the descriptor on stdin has digest %q, and -digest is %q", image.Digest, q.digest)
	}
	if err != nil {
		return Block, socket.Refusal(q.name, "invalid descriptor on the image verifier's standard input", badRequest), err
	}
	answer, err := q.ask(ctx, settings, image)
	switch {
	case err == nil && answer.Decision == socket.Admit:
		return Allow, answer.Message, nil
	case err == nil:
		return Block, answer.Message, nil
	case settings.OnDaemonUnavailable == conf.AllowPulls:
		return Allow, socket.Admission(q.name, "allowed: the countersign daemon is unreachable, and on_daemon_unavailable "+
			"is allow", unavailable), err
	default:
		return Block, socket.Refusal(q.name, "the countersign daemon on this node is unreachable, so the pull is refused; "+
			"the kubelet retries automatically", unavailable), err
	}
}

// ask calls the daemon. It returns an error if the daemon is unreachable, does not answer in time (it has less time
// than this program), or gives an invalid answer.
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
