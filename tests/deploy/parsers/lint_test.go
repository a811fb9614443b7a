package parsers

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerfile/dockerfile2llb"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// registry knows every image, of one platform, and nothing more of it.
type registry struct{ platform ocispecs.Platform }

func (r registry) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	config, err := json.Marshal(ocispecs.Image{Platform: r.platform, RootFS: ocispecs.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString(ref)}}})
	return ref, "", config, err
}

// lint has BuildKit make its plan of all stages, and returns the rules of its linter that
// complain, experimental ones too, and why there is no plan.
func lint(t *testing.T, text string) (rules []string, failure string) {
	t.Helper()
	text = "# check=experimental=all\n" + text
	amd64 := ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	capabilities := pb.Caps.CapSet(pb.Caps.All())
	results, err := dockerfile2llb.DockerfileLint(t.Context(), []byte(text), dockerfile2llb.ConvertOpt{
		TargetPlatform: &amd64,
		MetaResolver:   registry{amd64},
		SourceMap:      &llb.SourceMap{Definition: &llb.Definition{}, Filename: "Dockerfile", Language: "Dockerfile", Data: []byte(text)},
		LLBCaps:        &capabilities,
	})
	if err != nil {
		t.Fatal(err)
	}
	if results.Error != nil {
		failure = results.Error.Message
	}
	for _, w := range results.Warnings {
		t.Logf("%s: %s", w.RuleName, w.Detail)
		rules = append(rules, w.RuleName)
	}
	slices.Sort(rules)
	return slices.Compact(rules), failure
}

// TestDockerfileLint: BuildKit makes a plan of the Dockerfile, and not one of its rules
// complains.
func TestDockerfileLint(t *testing.T) {
	if rules, failure := lint(t, string(read(t, "Dockerfile"))); len(rules) > 0 || failure != "" {
		t.Errorf("it breaks %q, %s", rules, failure)
	}
}

// TestDockerfileLinter proves that each rule can say no. That of files that are ignored
// needs the files: TestDockerfileIgnored is in its place.
func TestDockerfileLinter(t *testing.T) {
	for text, rule := range map[string]string{
		"FROM scratch AS Build\n":                       linter.RuleStageNameCasing.Name,
		"FROM scratch as build\n":                       linter.RuleFromAsCasing.Name,
		"FROM scratch\nCOPY a \\\n\n  b /\n":            linter.RuleNoEmptyContinuation.Name,
		"FROM scratch\ncopy a /\nENV A=b\n":             linter.RuleConsistentInstructionCasing.Name,
		"FROM scratch AS a\nFROM scratch AS a\n":        linter.RuleDuplicateStageName.Name,
		"FROM scratch AS context\n":                     linter.RuleReservedStageName.Name,
		"FROM golang:1.26\nENTRYPOINT marketprism\n":    linter.RuleJSONArgsRecommended.Name,
		"FROM scratch\nMAINTAINER nobody\n":             linter.RuleMaintainerDeprecated.Name,
		"ARG A=golang\nFROM ${A}:1${B}\n":               linter.RuleUndefinedArgInFrom.Name,
		"FROM golang:1.26\nWORKDIR here\n":              linter.RuleWorkdirRelativePath.Name,
		"FROM golang:1.26\nCOPY $WHERE /\n":             linter.RuleUndefinedVar.Name,
		"FROM golang:1.26\nCMD [\"a\"]\nCMD [\"b\"]\n":  linter.RuleMultipleInstructionsDisallowed.Name,
		"FROM golang:1.26\nENV A b\n":                   linter.RuleLegacyKeyValueFormat.Name,
		"FROM --platform=linux/arm64 golang:1.26\n":     linter.RuleInvalidBaseImagePlatform.Name,
		"FROM --platform=$TARGETPLATFORM golang:1.26\n": linter.RuleRedundantTargetPlatform.Name,
		"FROM golang:1.26\nENV NATS_PASSWORD=a\n":       linter.RuleSecretsUsedInArgOrEnv.Name,
		"ARG A\nFROM golang:${A}\n":                     linter.RuleInvalidDefaultArgInFrom.Name,
		"FROM --platform=linux/amd64 golang:1.26\n":     linter.RuleFromPlatformFlagConstDisallowed.Name,
		"# Builds.\nFROM scratch AS build\n":            linter.RuleInvalidDefinitionDescription.Name,
		"FROM scratch\nEXPOSE 80/TCP\n":                 linter.RuleExposeProtoCasing.Name,
		"FROM scratch\nEXPOSE 127.0.0.1:80:80\n":        linter.RuleExposeInvalidFormat.Name,
	} {
		t.Run(rule, func(t *testing.T) {
			if rules, _ := lint(t, text); !slices.Contains(rules, rule) {
				t.Errorf("%q is said to break %q", strings.TrimSpace(text), rules)
			}
		})
	}
}
