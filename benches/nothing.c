/* The shortest life that a program can have: it ends at once. Linked statically. */
int main(void)
{
	return 0;
}
