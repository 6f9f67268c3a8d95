package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"github.com/countersign/countersign/policy/text"
)

// Status is the answer to a check. If it could not be determined, it is Unknown and not No.
type Status string

// The three answers.
const (
	Yes     Status = "yes"
	No      Status = "no"
	Unknown Status = "unknown"
)

// Answer is the answer to a check, with its cause, which may be empty for [Yes].
type Answer struct {
	Status Status
	Cause  string
	// Instead is what to do instead of the check's remedy, if it is not empty.
	Instead string
}

// Check is one question about a node.
type Check struct {
	// Name is the name in JSON, and Question what is true if the answer is yes.
	Name, Question string
	// Remedy is one line: what makes the answer yes.
	Remedy string
	Func   func(*Node) Answer
}

// Result is the answer to one check. Its JSON is a public interface, to which fields are only added.
type Result struct {
	Check    string `json:"check"`
	Question string `json:"question"`
	Status   Status `json:"status"`
	// Cause is one line, and may be empty for "yes".
	Cause string `json:"cause"`
	// Remedy is empty for "yes".
	Remedy string `json:"remedy"`
}

// Report is the result of all checks. Its JSON is a public interface, to which fields are only added.
type Report struct {
	Version string   `json:"version"`
	Healthy bool     `json:"healthy"`
	Checks  []Result `json:"checks"`
}

// Checks returns all checks, in the order in which they are reported: what others depend on comes first.
func Checks() []Check {
	var all []Check
	for _, part := range [][]Check{
		countersignChecks(), containerdChecks(), requiredChecks(), pullChecks(), registryChecks(), policyChecks(),
		hostChecks(), canaryChecks(),
	} {
		all = append(all, part...)
	}
	return all
}

// Examine answers checks about a node. skip are the names of checks that are left out.
func Examine(node *Node, checks []Check, skip map[string]bool) []Result {
	var results []Result
	for _, check := range checks {
		if skip[check.Name] {
			continue
		}
		answer := check.Func(node)
		result := Result{
			Check: check.Name, Question: check.Question, Status: answer.Status, Cause: text.OneLine(answer.Cause),
		}
		if result.Status != Yes {
			result.Remedy = node.remedy(cmp.Or(answer.Instead, check.Remedy))
		}
		results = append(results, result)
	}
	return results
}

// Worst returns No if an answer is no, else Unknown if one is unknown, else Yes.
func Worst(results []Result) Status {
	worst := Yes
	for _, result := range results {
		switch result.Status {
		case Yes:
		case No:
			return No
		default:
			worst = Unknown
		}
	}
	return worst
}

func yes(cause string) Answer { return Answer{Status: Yes, Cause: cause} }

func no(cause string) Answer { return Answer{Status: No, Cause: cause} }

// unknown returns that an answer could not be determined, and why.
func unknown(err error) Answer {
	answer := Answer{Status: Unknown, Cause: err.Error()}
	if needed, ok := errors.AsType[*neededError](err); ok {
		answer.Instead = "see to the check " + needed.check + " first"
	}
	return answer
}

// neededError is that an answer depends on another check, which is not answered with yes.
type neededError struct{ check, text string }

// Error implements error.
func (e *neededError) Error() string { return e.text }

// The answers on which others depend.
func withoutConfig() error {
	return &neededError{"configuration", "countersign's configuration is not known"}
}

func withoutDaemon() error { return &neededError{"daemon", "the daemon does not answer"} }

func withoutContainerd() error { return &neededError{"containerd", "containerd does not answer"} }

func withoutContainerdConfig() error {
	return &neededError{"containerd_config", "containerd's configuration is not known"}
}

// answer returns yes for nil, and no for an error. Who is not root may not see whether something is wrong.
func answer(err error) Answer {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return Answer{Status: Unknown, Cause: err.Error(), Instead: "run countersign doctor as root"}
	case err != nil:
		return no(err.Error())
	default:
		return yes("")
	}
}

// answers returns no for the first of several problems, with the number of others.
func answers(problems []string) Answer {
	if len(problems) == 0 {
		return yes("")
	}
	return no(problems[0] + more(len(problems)-1))
}

func more(others int) string {
	if others <= 0 {
		return ""
	}
	return fmt.Sprintf("; and %d more", others)
}

// texts returns the texts of errors.
func texts(problems []error) []string {
	found := make([]string, 0, len(problems))
	for _, problem := range problems {
		found = append(found, problem.Error())
	}
	return found
}

// Known is a value, or why it is not known.
type Known[T any] struct {
	Value T
	Err   error
}
