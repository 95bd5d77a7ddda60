package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/2ps-project/waymark/node/control"
)

func (m *Main) vocabularyCommand() *cobra.Command {
	return group("vocabulary", "What things are called, in every language, and what is not to be said", m.vocabularyShowCommand(), m.vocabularyImportCommand())
}

func (m *Main) vocabularyShowCommand() *cobra.Command {
	var language string
	var wording bool
	cmd := &cobra.Command{
		Use: "show [VOCABULARY]", Short: "Show the vocabularies, or the terms of one",
		Long: `Show the vocabularies, or the terms of one: its codes, their words, and what became
of them. With --wording it shows what texts are not to say, and what to say instead.

To change them: waymark vocabulary show -o json > FILE, edit FILE, then
waymark vocabulary import FILE --dry-run.`,
		Args: args(cobra.MaximumNArgs(1), "at most one vocabulary"),
	}
	cmd.Flags().StringVar(&language, "language", "en", "the language of the words")
	cmd.Flags().BoolVar(&wording, "wording", false, "the wording list")
	out := formatFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		node, err := m.node()
		if err != nil {
			return err
		}
		defer node.Close()
		v, err := node.Vocabulary(cmd.Context())
		if err != nil {
			return err
		}
		if len(args) == 1 {
			if v.Vocabularies = slices.DeleteFunc(v.Vocabularies, func(t control.Taxonomy) bool { return t.Code != args[0] }); len(v.Vocabularies) == 0 {
				return &control.Error{Class: control.Failed, Code: "not_found", Message: fmt.Sprintf("There is no vocabulary %q.", args[0]), Next: "See: waymark vocabulary show"}
			}
		}
		switch {
		case out.json():
			return printJSON(m.Stdout, v)
		case wording:
			return m.showWording(v, language)
		case len(args) == 1:
			return m.showTerms(v.Vocabularies[0], language)
		}
		return m.showVocabularies(v, language)
	}
	return cmd
}

func (m *Main) showVocabularies(v control.Vocabulary, language string) error {
	rows := make([][]string, 0, len(v.Vocabularies))
	for _, t := range v.Vocabularies {
		current := 0
		full := map[string]int{}
		for _, term := range t.Terms {
			if term.Status == "deprecated" {
				continue
			}
			current++
			for lang := range term.Labels {
				full[lang]++
			}
		}
		complete := slices.DeleteFunc(slices.Sorted(maps.Keys(full)), func(l string) bool { return full[l] < current })
		fixed := ""
		if t.Fixed {
			fixed = "words only"
		}
		rows = append(rows, []string{t.Code, short(label(t.Labels, language), 40), fmt.Sprint(current), fmt.Sprint(len(t.Terms) - current), strings.Join(complete, " "), fixed})
	}
	return table(m.Stdout, []string{"VOCABULARY", "NAME", "TERMS", "DEPRECATED", "LANGUAGES", "CHANGES"}, rows)
}

func (m *Main) showTerms(t control.Taxonomy, language string) error {
	rows := make([][]string, 0, len(t.Terms))
	for _, term := range t.Terms {
		status := term.Status
		if term.Successor != "" {
			status += ", use " + term.Successor
		}
		var mapped []string
		for _, p := range term.Mappings {
			mapped = append(mapped, p.Scheme+" "+p.Relation)
		}
		rows = append(rows, []string{term.Code, label(term.Labels, language), status, strings.Join(term.Synonyms[language], ", "), strings.Join(mapped, ", ")})
	}
	return table(m.Stdout, []string{"CODE", "LABEL", "STATUS", "SYNONYMS", "MAPPINGS"}, rows)
}

func (m *Main) showWording(v control.Vocabulary, language string) error {
	rows := make([][]string, 0, len(v.Wording[language]))
	for _, b := range v.Wording[language] {
		rows = append(rows, []string{b.Term, b.Instead, b.Reason})
	}
	if len(rows) == 0 {
		return m.say("There is no wording list in %q.", language)
	}
	return table(m.Stdout, []string{"NOT", "INSTEAD", "REASON"}, rows)
}

// label is the label in a language, else the English one in brackets.
func label(labels map[string]string, language string) string {
	if s := labels[language]; s != "" {
		return s
	}
	return "(" + labels["en"] + ")"
}

func (m *Main) vocabularyImportCommand() *cobra.Command {
	var in control.RulesRequest
	cmd := &cobra.Command{
		Use: "import FILE", Short: "Propose other words, terms or a wording list",
		Long: `Propose what FILE says, signed for this country. It holds when enough countries have
signed.

FILE is a JSON object of the form that "waymark vocabulary show -o json" prints; it may
hold a part of it. Vocabularies, terms and languages that are not in it stay. A term is
deprecated, with a successor or without, and never taken away. - reads standard input.
With --seed instead of a file the words are proposed that this program comes with.
When anything is wrong, every fault is named and nothing is proposed.`,
		Args: func(cmd *cobra.Command, given []string) error {
			if len(given) == 1 != in.Seed && len(given) <= 1 {
				return nil
			}
			return usageError{"Name one file, or say --seed. Use: waymark vocabulary import FILE"}
		},
	}
	cmd.Flags().BoolVar(&in.DryRun, "dry-run", false, "propose nothing; tell what would be other than now")
	cmd.Flags().BoolVar(&in.Seed, "seed", false, "propose the words that the program comes with")
	return ask(m, cmd, func(ctx context.Context, node *control.Client, args []string) (control.Proposed, error) {
		if !in.Seed {
			var err error
			if in.Document, err = m.readJSON(args[0], "vocabulary"); err != nil {
				return control.Proposed{}, err
			}
		}
		return node.PutVocabulary(ctx, in)
	}, m.printProposed)
}

// maxDocument bounds a document that is read whole.
const maxDocument = 1<<20 - 4<<10

// readDocument reads a file, or standard input for "-".
func (m *Main) readDocument(path string) ([]byte, error) {
	from := m.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		from = f
	}
	b, err := io.ReadAll(io.LimitReader(from, maxDocument+1))
	if err == nil && len(b) > maxDocument {
		err = fmt.Errorf("it has more than %d bytes", maxDocument)
	}
	return b, err
}
