/*
 * The shortest program there is: ends at once.
 */
int main(void)
{
	return 0;
}
